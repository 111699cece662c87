export const USUAL: string
export function tellMarks(summary: { seconds: number; peakBytes: number }): { time: string; memory: string }
