import { S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { isPlimsollError, PlimsollError } from '../../kernel/errors.ts'

export interface S3Place {
  bucket: string
  region: string
  /** Another S3-speaking server than Amazon's. */
  endpoint?: string
  /** The bucket in the path, not in the host name; true by default with an endpoint. */
  forcePathStyle?: boolean
  /** Without them the SDK's own chain: environment, shared files, the role of the machine. */
  credentials?: { accessKeyId: string; secretAccessKey: string }
  /** Put before every key, for example `plimsoll/`. */
  prefix?: string
  /** Tries of one request, the first included. */
  attemptsMax?: number
  /** How long a connection may be silent. */
  silenceMs?: number
}

/** A client with bounded waiting and retries; the SDK's standard mode backs off with jitter and a retry budget. */
export function openClient(place: S3Place): S3Client {
  return new S3Client({
    region: place.region,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    forcePathStyle: place.forcePathStyle ?? place.endpoint !== undefined,
    ...(place.credentials === undefined ? {} : { credentials: place.credentials }),
    maxAttempts: place.attemptsMax ?? 5,
    retryMode: 'standard',
    // We send and check our own SHA-256; the default CRC trailers are refused by some compatible servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 5_000, socketTimeout: place.silenceMs ?? 10_000 },
  })
}

export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode
}

export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && (error as Error).name !== 'NoSuchBucket'
}

/** What a request threw, as a house error. */
export function asS3Error(error: unknown, action: string): PlimsollError {
  if (isPlimsollError(error)) return error
  const status = statusOf(error)
  const detail =
    error instanceof S3ServiceException ? error.name : error instanceof Error ? error.message : String(error)
  if (status === 401 || status === 403 || (error as Error).name === 'CredentialsProviderError') {
    return new PlimsollError(
      'unavailable',
      'blob.s3_refused',
      `Cannot ${action}: there are no credentials that the object store takes (${detail})`,
      {
        action:
          'Check blob.accessKeyId and blob.secretAccessKey, or what the SDK finds without them, and the policy of the bucket',
      },
      error,
    )
  }
  if ((error as Error).name === 'NoSuchBucket') {
    return new PlimsollError(
      'unavailable',
      'blob.no_bucket',
      `Cannot ${action}: the bucket does not exist`,
      { action: 'Make the bucket, or correct blob.bucket' },
      error,
    )
  }
  return new PlimsollError('unavailable', 'blob.s3_failed', `Cannot ${action}: ${detail}`, {}, error)
}
