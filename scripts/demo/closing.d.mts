interface Health {
  time: string
  replay_rate: number
}
export function closingLines(
  dataDir: string,
  prediction: string,
  health: Health,
  aheadDays: number,
  nowMs?: number,
): [name: string, command: string][]
