/** The own member of that name. Names from outside may be such as `constructor`, which every object answers to. */
export function member<T>(of: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(of, key) ? of[key] : undefined
}
