/**
 * The body of an answer as text, of at most `bytesMax` bytes, counted as they are unpacked. Of a longer one no more is
 * read, and its connection is closed.
 *
 * @throws RangeError
 */
export async function answerText(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length
    // Leaving the loop ends the connection: what is not read is not sent.
    if (sizeBytes > bytesMax) throw new RangeError(`the answer is longer than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
