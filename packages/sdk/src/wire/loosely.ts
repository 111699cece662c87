import { z } from 'zod'

/** The members of zod's definitions that hold other schemas, where the wire has any. */
interface Parts {
  readonly type: string
  readonly innerType?: z.ZodType
  readonly element?: z.ZodType
  readonly valueType?: z.ZodType
  readonly options?: readonly z.ZodType[]
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly catchall?: z.ZodType
}

/**
 * What is sent or stored, as it is read in an answer: a member that is not known, at any depth, is left out instead of
 * refused, since a newer server may say more.
 */
export function loosely<S extends z.ZodType>(schema: S): S {
  const def = schema._zod.def as unknown as Parts // what a type of schema does not have is undefined
  const { innerType, element, valueType, options, shape, catchall } = def
  const change = {
    ...(innerType && { innerType: loosely(innerType) }),
    ...(element && { element: loosely(element) }),
    ...(valueType && { valueType: loosely(valueType) }),
    ...(options && { options: options.map(loosely) }),
    ...(shape && { shape: Object.fromEntries(Object.entries(shape).map(([name, part]) => [name, loosely(part)])) }),
    ...(catchall?._zod.def.type === 'never' && { catchall: undefined }),
  }
  if (Object.keys(change).length === 0) return schema
  return z.clone(schema, z.util.mergeDefs(schema._zod.def, change)) // not spread: defaults are made anew at each read
}
