import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

/** Element types of onnx.proto3 (TensorProto.DataType). */
export const ONNX_TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
} as const
type OnnxType = keyof typeof ONNX_TYPES

export interface Value {
  name: string
  type: OnnxType
  shape: (number | string)[]
}

type Attribute =
  | { int: number | bigint }
  | { float: number }
  | { ints: number[] }
  | { strings: string[] }
  | { graph: Uint8Array }
  | { tensor: Uint8Array }

export interface NodeSpec {
  op: string
  inputs: string[]
  outputs: string[]
  domain?: string
  attributes?: Record<string, Attribute>
}

function message(write: (w: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter()
  write(writer)
  return writer.finish()
}

const field = (w: BinaryWriter, no: number, bytes: Uint8Array) => w.tag(no, WireType.LengthDelimited).bytes(bytes)
const text = (w: BinaryWriter, no: number, value: string) => w.tag(no, WireType.LengthDelimited).string(value)
const int = (w: BinaryWriter, no: number, value: number | bigint) => w.tag(no, WireType.Varint).int64(value)

export function valueInfo({ name, type, shape }: Value): Uint8Array {
  const shapeBytes = message((w) => {
    for (const dim of shape) {
      field(
        w,
        1,
        message((d) => (typeof dim === 'number' ? int(d, 1, dim) : text(d, 2, dim))),
      )
    }
  })
  const tensor = message((w) => {
    int(w, 1, ONNX_TYPES[type])
    field(w, 2, shapeBytes)
  })
  return message((w) => {
    text(w, 1, name)
    field(
      w,
      2,
      message((t) => field(t, 1, tensor)),
    )
  })
}

/** A sequence of maps, as ZipMap gives: `int64 → float`. */
export function mapSequenceInfo(name: string): Uint8Array {
  const value = message((w) =>
    field(
      w,
      1,
      message((t) => int(t, 1, ONNX_TYPES.FP32)),
    ),
  )
  const map = message((w) => {
    int(w, 1, ONNX_TYPES.INT64)
    field(w, 2, value)
  })
  const sequence = message((w) =>
    field(
      w,
      1,
      message((t) => field(t, 5, map)),
    ),
  )
  return message((w) => {
    text(w, 1, name)
    field(
      w,
      2,
      message((t) => field(t, 4, sequence)),
    )
  })
}

export function tensor(given: {
  name?: string
  type?: OnnxType
  dims: number[]
  floats?: number[]
  ints?: number[]
  external?: Record<string, string>
}): Uint8Array {
  return message((w) => {
    for (const dim of given.dims) int(w, 1, dim)
    int(w, 2, ONNX_TYPES[given.type ?? 'FP32'])
    if (given.name) text(w, 8, given.name)
    if (given.floats) field(w, 9, new Uint8Array(Float32Array.from(given.floats).buffer))
    if (given.ints) field(w, 9, new Uint8Array(BigInt64Array.from(given.ints, BigInt).buffer))
    for (const [key, value] of Object.entries(given.external ?? {})) {
      field(
        w,
        13,
        message((e) => {
          text(e, 1, key)
          text(e, 2, value)
        }),
      )
    }
    if (given.external) int(w, 14, 1)
  })
}

function attribute(name: string, value: Attribute): Uint8Array {
  return message((w) => {
    text(w, 1, name)
    if ('float' in value) w.tag(2, WireType.Bit32).float(value.float)
    if ('int' in value) int(w, 3, value.int)
    if ('tensor' in value) field(w, 5, value.tensor)
    if ('graph' in value) field(w, 6, value.graph)
    if ('ints' in value) for (const one of value.ints) int(w, 8, one)
    if ('strings' in value) for (const one of value.strings) text(w, 9, one)
    int(
      w,
      20,
      'float' in value
        ? 1
        : 'int' in value
          ? 2
          : 'tensor' in value
            ? 4
            : 'graph' in value
              ? 5
              : 'ints' in value
                ? 7
                : 8,
    )
  })
}

function node(spec: NodeSpec): Uint8Array {
  return message((w) => {
    for (const input of spec.inputs) text(w, 1, input)
    for (const output of spec.outputs) text(w, 2, output)
    text(w, 4, spec.op)
    for (const [name, value] of Object.entries(spec.attributes ?? {})) field(w, 5, attribute(name, value))
    if (spec.domain) text(w, 7, spec.domain)
  })
}

export interface GraphSpec {
  nodes: NodeSpec[]
  inputs: Value[]
  outputs: (Value | Uint8Array)[]
  initializers?: Uint8Array[]
}

export function graph(spec: GraphSpec): Uint8Array {
  return message((w) => {
    for (const one of spec.nodes) field(w, 1, node(one))
    text(w, 2, 'g')
    for (const one of spec.initializers ?? []) field(w, 5, one)
    for (const one of spec.inputs) field(w, 11, valueInfo(one))
    for (const one of spec.outputs) field(w, 12, one instanceof Uint8Array ? one : valueInfo(one))
  })
}

export function model(
  spec: GraphSpec & {
    opset?: number
    irVersion?: number
    domains?: Record<string, number>
    metadata?: Record<string, string>
  },
): Uint8Array {
  return message((w) => {
    int(w, 1, spec.irVersion ?? 8)
    text(w, 2, 'fixture')
    field(w, 7, graph(spec))
    const domains: Record<string, number> = { '': spec.opset ?? 13, ...spec.domains }
    for (const [domain, version] of Object.entries(domains)) {
      field(
        w,
        8,
        message((o) => {
          text(o, 1, domain)
          int(o, 2, version)
        }),
      )
    }
    for (const [key, value] of Object.entries(spec.metadata ?? {})) {
      field(
        w,
        14,
        message((o) => {
          text(o, 1, key)
          text(o, 2, value)
        }),
      )
    }
  })
}

const x = (type: OnnxType = 'FP32', shape: (number | string)[] = ['n', 2]): Value => ({ name: 'x', type, shape })
const y = (type: OnnxType = 'FP32', shape: (number | string)[] = ['n', 2]): Value => ({ name: 'y', type, shape })
const unary = (op: string, attributes: Record<string, Attribute> = {}): NodeSpec[] => [
  { op, inputs: ['x'], outputs: ['y'], attributes },
]

/** y = x. */
export const identityModel = (
  type: OnnxType = 'FP32',
  shape: (number | string)[] = ['n', 2],
  metadata: Record<string, string> = {},
) => model({ nodes: unary('Identity'), inputs: [x(type, shape)], outputs: [y(type, shape)], metadata })

/** sum = a + b, difference = a − b. */
export const arithmeticModel = (rows: number | 'n' = 'n') => {
  const value = (name: string): Value => ({ name, type: 'FP32', shape: [rows, 2] })
  return model({
    nodes: [
      { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
      { op: 'Sub', inputs: ['a', 'b'], outputs: ['difference'] },
    ],
    inputs: [value('a'), value('b')],
    outputs: [value('sum'), value('difference')],
  })
}

/** Softmax over axis 0: rows influence each other. */
export const crossRowModel = () =>
  model({ nodes: unary('Softmax', { axis: { int: 0 } }), inputs: [x()], outputs: [y()] })

/** y = (x − the mean of all rows) · 1e-6: rows influence each other in outputs that are small altogether. */
export const faintCrossRowModel = () =>
  model({
    nodes: [
      { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'], attributes: { axes: { ints: [0] }, keepdims: { int: 1 } } },
      { op: 'Sub', inputs: ['x', 'mean'], outputs: ['off'] },
      { op: 'Mul', inputs: ['off', 'tiny'], outputs: ['y'] },
    ],
    initializers: [tensor({ name: 'tiny', dims: [1], floats: [1e-6] })],
    inputs: [x()],
    outputs: [y()],
  })

/** y = x + the mean over all rows of what is above `from`: rows influence each other only where values are that large. */
export const dormantCrossRowModel = (from: number) =>
  model({
    nodes: [
      { op: 'Sub', inputs: ['x', 'from'], outputs: ['above'] },
      { op: 'Relu', inputs: ['above'], outputs: ['relu'] },
      {
        op: 'ReduceMean',
        inputs: ['relu'],
        outputs: ['mean'],
        attributes: { axes: { ints: [0] }, keepdims: { int: 1 } },
      },
      { op: 'Add', inputs: ['x', 'mean'], outputs: ['y'] },
    ],
    initializers: [tensor({ name: 'from', dims: [1], floats: [from] })],
    inputs: [x()],
    outputs: [y()],
  })

/** An MLP `width` wide and `layers` deep: slow enough to keep a host busy. */
export function mlpModel(width: number, layers: number, inputs = 20, rows: number | 'n' = 'n'): Uint8Array {
  const nodes: NodeSpec[] = []
  const initializers: Uint8Array[] = []
  let last = 'x'
  for (let layer = 0; layer < layers; layer++) {
    const [from, to] = [layer === 0 ? inputs : width, layer === layers - 1 ? 2 : width]
    initializers.push(
      tensor({
        name: `w${layer}`,
        dims: [from, to],
        floats: Array.from({ length: from * to }, (_, i) => ((i % 17) - 8) / (8 * from)),
      }),
    )
    nodes.push({ op: 'MatMul', inputs: [last, `w${layer}`], outputs: [`h${layer}`] })
    nodes.push({
      op: layer === layers - 1 ? 'Identity' : 'Relu',
      inputs: [`h${layer}`],
      outputs: [layer === layers - 1 ? 'y' : `r${layer}`],
    })
    last = `r${layer}`
  }
  return model({ nodes, initializers, inputs: [x('FP32', [rows, inputs])], outputs: [y()] })
}

/** Gathers one table entry per row: an index outside of 0…3 makes the run fail. */
export const poisonModel = (rows: number | 'n' = 'n') =>
  model({
    nodes: [{ op: 'Gather', inputs: ['table', 'x'], outputs: ['y'] }],
    initializers: [tensor({ name: 'table', dims: [4], floats: [10, 11, 12, 13] })],
    inputs: [x('INT64', [rows])],
    outputs: [y('FP32', [rows])],
  })

/**
 * What scikit-learn exports: a label, and probabilities as a sequence of maps made by a trailing ZipMap. With classes that
 * are texts, with the tensor as an output too, or with a node behind the map when asked.
 */
export function zipMapModel(
  change: { texts?: string[]; isTensorGiven?: boolean; isTaken?: boolean; metadata?: Record<string, string> } = {},
): Uint8Array {
  const { texts, isTensorGiven, isTaken, metadata = {} } = change
  const zipMap: NodeSpec = {
    op: 'ZipMap',
    domain: 'ai.onnx.ml',
    inputs: ['scores'],
    outputs: ['probabilities'],
    attributes: texts ? { classlabels_strings: { strings: texts } } : { classlabels_int64s: { ints: [7, 9] } },
  }
  return model({
    domains: { 'ai.onnx.ml': 1 },
    nodes: [
      { op: 'Softmax', inputs: ['x'], outputs: ['scores'], attributes: { axis: { int: 1 } } },
      { op: 'ArgMax', inputs: ['x'], outputs: ['label'], attributes: { axis: { int: 1 }, keepdims: { int: 0 } } },
      zipMap,
      ...(isTaken ? [{ op: 'SequenceLength', inputs: ['probabilities'], outputs: ['rows'] }] : []),
    ],
    inputs: [x()],
    outputs: [
      { name: 'label', type: 'INT64', shape: ['n'] },
      mapSequenceInfo('probabilities'),
      ...(isTensorGiven ? [{ ...y(), name: 'scores' }] : []),
    ],
    metadata,
  })
}

export const externalDataModel = (location: string, extra: Record<string, string> = {}) =>
  model({
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [tensor({ name: 'w', dims: [2], external: { location, ...extra } })],
    inputs: [x()],
    outputs: [y()],
  })

/** Ninety bytes whose output wants 2^`power` floats. */
export const bombModel = (power: number) =>
  model({
    nodes: [{ op: 'ConstantOfShape', inputs: ['shape'], outputs: ['y'] }],
    initializers: [tensor({ name: 'shape', type: 'INT64', dims: [2], ints: [2 ** 20, 2 ** (power - 20)] })],
    inputs: [],
    outputs: [y('FP32', ['a', 'b'])],
  })

/** `depth` nested If graphs. */
export function deepIfModel(depth: number): Uint8Array {
  const leaf = (): GraphSpec => ({
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['z'] }],
    inputs: [],
    outputs: [{ name: 'z', type: 'FP32', shape: [1] }],
  })
  let inner = graph(leaf())
  for (let level = 0; level < depth; level++) {
    const branch: NodeSpec = { op: 'If', inputs: ['c'], outputs: ['z'], attributes: { then_branch: { graph: inner } } }
    inner = graph({ ...leaf(), nodes: [branch] })
  }
  return model({
    nodes: [{ op: 'If', inputs: ['c'], outputs: ['y'], attributes: { then_branch: { graph: inner } } }],
    inputs: [{ name: 'c', type: 'BOOL', shape: [] }, x()],
    outputs: [y()],
  })
}

export const customDomainModel = () =>
  model({
    domains: { 'evil.example': 1 },
    nodes: [{ op: 'Run', domain: 'evil.example', inputs: ['x'], outputs: ['y'] }],
    inputs: [x()],
    outputs: [y()],
  })

/** Spins in a Loop of 2^40 trips. */
export function endlessModel(): Uint8Array {
  const body = graph({
    nodes: [
      { op: 'Identity', inputs: ['cond_in'], outputs: ['cond_out'] },
      { op: 'Add', inputs: ['v_in', 'v_in'], outputs: ['v_out'] },
    ],
    inputs: [
      { name: 'i', type: 'INT64', shape: [] },
      { name: 'cond_in', type: 'BOOL', shape: [] },
      { name: 'v_in', type: 'FP32', shape: ['n', 2] },
    ],
    outputs: [
      { name: 'cond_out', type: 'BOOL', shape: [] },
      { name: 'v_out', type: 'FP32', shape: ['n', 2] },
    ],
  })
  return model({
    nodes: [{ op: 'Loop', inputs: ['trips', '', 'x'], outputs: ['y'], attributes: { body: { graph: body } } }],
    initializers: [tensor({ name: 'trips', type: 'INT64', dims: [], ints: [2 ** 40] })],
    inputs: [x()],
    outputs: [y()],
  })
}

/** A Loop whose trips are its input: runs as long as it is told. */
export function tripsModel(rows: number | 'n' = 'n'): Uint8Array {
  const scalar = (name: string, type: OnnxType): Value => ({ name, type, shape: [] })
  const body = graph({
    nodes: [
      { op: 'Identity', inputs: ['cond_in'], outputs: ['cond_out'] },
      { op: 'Identity', inputs: ['v_in'], outputs: ['v_out'] },
    ],
    inputs: [scalar('i', 'INT64'), scalar('cond_in', 'BOOL'), { name: 'v_in', type: 'INT64', shape: [rows] }],
    outputs: [scalar('cond_out', 'BOOL'), { name: 'v_out', type: 'INT64', shape: [rows] }],
  })
  return model({
    nodes: [
      { op: 'ReduceMax', inputs: ['x'], outputs: ['trips'], attributes: { keepdims: { int: 0 } } },
      { op: 'Loop', inputs: ['trips', '', 'x'], outputs: ['y'], attributes: { body: { graph: body } } },
    ],
    inputs: [x('INT64', [rows])],
    outputs: [y('INT64', [rows])],
  })
}

/** y = x, by a Loop of as many trips as its input says, which holds 2 KiB for each of them while it runs. */
export function hoardModel(): Uint8Array {
  const scalar = (name: string, type: OnnxType): Value => ({ name, type, shape: [] })
  const body = graph({
    nodes: [
      { op: 'Identity', inputs: ['cond_in'], outputs: ['cond_out'] },
      { op: 'Gather', inputs: ['hoard', 'i'], outputs: ['zero'] },
      { op: 'Add', inputs: ['v_in', 'zero'], outputs: ['v_out'] },
    ],
    inputs: [scalar('i', 'INT64'), scalar('cond_in', 'BOOL'), { name: 'v_in', type: 'INT64', shape: ['n'] }],
    outputs: [scalar('cond_out', 'BOOL'), { name: 'v_out', type: 'INT64', shape: ['n'] }],
  })
  const zero = tensor({ type: 'INT64', dims: [1], ints: [0] })
  return model({
    nodes: [
      { op: 'ReduceMax', inputs: ['x'], outputs: ['trips'], attributes: { keepdims: { int: 1 } } },
      { op: 'Mul', inputs: ['trips', 'each'], outputs: ['size'] },
      { op: 'ConstantOfShape', inputs: ['size'], outputs: ['hoard'], attributes: { value: { tensor: zero } } },
      { op: 'Loop', inputs: ['trips', '', 'x'], outputs: ['y'], attributes: { body: { graph: body } } },
    ],
    initializers: [tensor({ name: 'each', type: 'INT64', dims: [1], ints: [256] })],
    inputs: [x('INT64', ['n'])],
    outputs: [y('INT64', ['n'])],
  })
}
