export function closingLines(dataDir: string, prediction: string): [what: string, command: string][]
