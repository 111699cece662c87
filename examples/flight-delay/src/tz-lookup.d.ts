declare module 'tz-lookup' {
  /** IANA zone of a place on land or sea. */
  export default function tzLookup(latitude: number, longitude: number): string
}
