/**
 * A pickle that makes the file `canary` as soon as it is loaded: it calls `builtins.open(canary, 'w')`, by the opcodes
 * GLOBAL, MARK, UNICODE twice, TUPLE, REDUCE and STOP.
 */
export const plantingPickle = (canary: string): Buffer => Buffer.from(`cbuiltins\nopen\n(V${canary}\nVw\ntR.`)
