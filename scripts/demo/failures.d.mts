export function describeFailures(byName: Readonly<Record<string, number>>): string
