import { digestBytes } from '../kernel/digest.ts'
import type { OnnxReport } from './onnx-report.ts'
import { readValue, type Value } from './onnx-value.ts'
import { fieldsOf, integersOf, refuseModel, textOf } from './onnx-wire.ts'
import { elementCount, type TensorSpec } from './tensor.ts'

const LIMITS = { depth: 16, nodes: 200_000, values: 4096, initializers: 200_000, sizeBytes: 2 ** 31 - 1 } as const
/** What onnxruntime 1.30 loads. */
const IR_MAX = 13
const OPSET_MAX: Readonly<Record<string, number>> = {
  'ai.onnx': 26,
  'ai.onnx.ml': 5,
  'com.microsoft': 1,
  'com.microsoft.nchwc': 1,
  'ai.onnx.training': 1,
}

export interface NodeView {
  op: string
  domain: string
  inputs: string[]
  outputs: string[]
  attributes: Uint8Array[]
}

export interface GraphView {
  readonly nodes: NodeView[]
  readonly inputs: Value[]
  readonly outputs: Value[]
  readonly initializers: Set<string>
}

interface Tally {
  nodes: number
  depth: number
  initializers: number
  initializerBytes: number
  operators: Map<string, number>
  domains: Set<string>
}

const domainOf = (name: string) => (name === '' ? 'ai.onnx' : name)

export function readNode(bytes: Uint8Array): NodeView {
  const node: NodeView = { op: '', domain: '', inputs: [], outputs: [], attributes: [] }
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) node.inputs.push(textOf(field.bytes))
    else if (field.no === 2) node.outputs.push(textOf(field.bytes))
    else if (field.no === 4) node.op = textOf(field.bytes)
    else if (field.no === 5) node.attributes.push(field.bytes)
    else if (field.no === 7) node.domain = textOf(field.bytes)
  }
  return node
}

function readGraph(bytes: Uint8Array, depth: number, tally: Tally): GraphView {
  if (depth > LIMITS.depth) throw refuseModel(`its graphs are nested deeper than ${LIMITS.depth} levels`)
  tally.depth = Math.max(tally.depth, depth)
  const graph: GraphView = { nodes: [], inputs: [], outputs: [], initializers: new Set() }
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) graph.nodes.push(countNode(field.bytes, depth, tally))
    else if (field.no === 5) graph.initializers.add(readTensor(field.bytes, tally))
    else if (field.no === 11) graph.inputs.push(readValue(field.bytes))
    else if (field.no === 12) graph.outputs.push(readValue(field.bytes))
    else if (field.no === 15)
      for (const part of fieldsOf(field.bytes))
        if (part.no === 1 || part.no === 2) graph.initializers.add(readTensor(part.bytes, tally))
    if (graph.inputs.length > LIMITS.values || graph.outputs.length > LIMITS.values)
      throw refuseModel(`it has more than ${LIMITS.values} inputs or outputs`)
  }
  return graph
}

function countNode(bytes: Uint8Array, depth: number, tally: Tally): NodeView {
  if (++tally.nodes > LIMITS.nodes) throw refuseModel(`it has more than ${LIMITS.nodes} nodes`)
  const node = readNode(bytes)
  const domain = domainOf(node.domain)
  tally.domains.add(domain)
  const name = domain === 'ai.onnx' ? node.op : `${domain}.${node.op}`
  tally.operators.set(name, (tally.operators.get(name) ?? 0) + 1)
  for (const attribute of node.attributes) {
    for (const field of fieldsOf(attribute)) {
      if (field.no === 6 || field.no === 11) readGraph(field.bytes, depth + 1, tally)
      else if (field.no === 5 || field.no === 10) readTensor(field.bytes, tally)
    }
  }
  return node
}

const EXTERNAL = 1n

/** Name of an initialiser. Data outside the file is refused: a model is exactly the bytes of its digest. */
function readTensor(bytes: Uint8Array, tally: Tally): string {
  if (++tally.initializers > LIMITS.initializers)
    throw refuseModel(`it has more than ${LIMITS.initializers} stored tensors`)
  let name = ''
  let location = ''
  let isExternal = false
  const dims: number[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) for (const dim of integersOf(field)) dims.push(Number(dim))
    else if (field.no === 8) name = textOf(field.bytes)
    else if (field.no === 13) {
      isExternal = true
      location = locationOf(field.bytes) ?? location
    } else if (field.no === 14 && field.value === EXTERNAL) isExternal = true
  }
  if (isExternal) {
    throw refuseModel(
      `tensor "${name}" keeps its data outside the file ("${location.slice(0, 128)}"), save the model as one file`,
      'inference.onnx_external_data',
    )
  }
  if (elementCount(dims) === undefined)
    throw refuseModel(`tensor "${name}" has dimensions [${dims.slice(0, 8)}] that no memory holds`)
  tally.initializerBytes += bytes.length
  return name
}

function locationOf(entry: Uint8Array): string | undefined {
  let key = ''
  let value = ''
  for (const field of fieldsOf(entry)) {
    if (field.no === 1) key = textOf(field.bytes)
    else if (field.no === 2) value = textOf(field.bytes)
  }
  return key === 'location' ? value : undefined
}

export interface ModelView {
  irVersion: number
  producer: { name: string; version: string }
  opsets: { domain: string; version: number }[]
  metadata: Record<string, string>
  graph: GraphView
  tally: Tally
}

/** @throws invalid inference.onnx_malformed | inference.onnx_refused | inference.onnx_external_data */
export function readModel(bytes: Uint8Array): ModelView {
  if (bytes.length > LIMITS.sizeBytes) throw refuseModel(`it has ${bytes.length} bytes, at most ${LIMITS.sizeBytes}`)
  const tally: Tally = {
    nodes: 0,
    depth: 0,
    initializers: 0,
    initializerBytes: 0,
    operators: new Map(),
    domains: new Set(),
  }
  const view = {
    irVersion: 0,
    producer: { name: '', version: '' },
    opsets: [] as ModelView['opsets'],
    metadata: Object.create(null) as ModelView['metadata'],
  } // empty lists and maps of the declared types
  let graph: GraphView | undefined
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) view.irVersion = Number(field.value)
    else if (field.no === 2) view.producer.name = textOf(field.bytes)
    else if (field.no === 3) view.producer.version = textOf(field.bytes)
    else if (field.no === 7) {
      if (graph) throw refuseModel('it has two graphs')
      graph = readGraph(field.bytes, 1, tally)
    } else if (field.no === 8) view.opsets.push(readOpset(field.bytes))
    else if (field.no === 14) Object.assign(view.metadata, readProperty(field.bytes))
    else if (field.no === 25) throw refuseModel('it defines functions of its own, export it without')
  }
  if (!graph) throw refuseModel('it has no graph', 'inference.onnx_malformed')
  checkVersions(view, tally)
  return { ...view, graph, tally }
}

function readOpset(bytes: Uint8Array): { domain: string; version: number } {
  let domain = ''
  let version = 0
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) domain = textOf(field.bytes)
    else if (field.no === 2) version = Number(field.value)
  }
  return { domain: domainOf(domain), version }
}

function readProperty(bytes: Uint8Array): Record<string, string> {
  const pair = ['', '']
  for (const field of fieldsOf(bytes)) if (field.no === 1 || field.no === 2) pair[field.no - 1] = textOf(field.bytes)
  const property: Record<string, string> = Object.create(null)
  property[pair[0] ?? ''] = pair[1] ?? ''
  return property
}

function checkVersions(view: Pick<ModelView, 'irVersion' | 'opsets'>, tally: Tally): void {
  if (view.irVersion < 3 || view.irVersion > IR_MAX)
    throw refuseModel(`its IR version is ${view.irVersion}, 3 to ${IR_MAX} are supported`)
  for (const domain of tally.domains) {
    if (!Object.hasOwn(OPSET_MAX, domain))
      throw refuseModel(`it uses operators of the unknown domain "${domain.slice(0, 128)}"`)
  }
  for (const { domain, version } of view.opsets) {
    const most = Object.hasOwn(OPSET_MAX, domain) ? OPSET_MAX[domain] : undefined
    if (most !== undefined && version > most)
      throw refuseModel(`it needs operator set ${domain} ${version}, at most ${most} is supported`)
  }
}

export interface ZipMap {
  readonly output: Value
  /** Name of what it maps. */
  readonly tensor: string
  /** The tensor is an output itself. */
  readonly isTensorGiven: boolean
  readonly labels: string[]
}

/** A trailing ZipMap, when a graph output is one and no node takes it. */
export function findZipMap(graph: GraphView): ZipMap | undefined {
  for (const output of graph.outputs) {
    if (output.kind === 'tensor') continue
    const node = graph.nodes.find((one) => one.outputs.includes(output.name))
    if (node?.op !== 'ZipMap' || node.domain !== 'ai.onnx.ml' || node.inputs.length !== 1) continue
    if (graph.nodes.some((one) => one.inputs.includes(output.name))) continue
    const tensor = node.inputs[0] ?? ''
    const isTensorGiven = graph.outputs.some(({ name }) => name === tensor)
    return { output, tensor, isTensorGiven, labels: node.attributes.flatMap(readLabels) }
  }
  return undefined
}

function readLabels(attribute: Uint8Array): string[] {
  const labels: string[] = []
  let name = ''
  for (const field of fieldsOf(attribute)) {
    if (field.no === 1) name = textOf(field.bytes)
    else if (field.no === 8) labels.push(...integersOf(field).map(String))
    else if (field.no === 9) labels.push(textOf(field.bytes))
  }
  return name.startsWith('classlabels_') ? labels : []
}

const TENSORS_ONLY =
  "Export it so that all its inputs and outputs are tensors; for a classifier, skl2onnx does with options={'zipmap': False}"

/**
 * Reads an ONNX file without running anything and refuses what must not reach a runtime: data outside the file, unknown
 * operator domains, too new versions, graphs beyond the limits, outputs that are no tensors (other than a trailing ZipMap).
 *
 * @throws invalid inference.onnx_malformed | inference.onnx_refused | inference.onnx_external_data
 */
export function inspectOnnx(bytes: Uint8Array): OnnxReport {
  const { graph, tally, ...view } = readModel(bytes)
  const zipMap = findZipMap(graph)
  const spec = (value: Value, side: string): TensorSpec => {
    if (value.kind === 'tensor') return { name: value.name, datatype: value.datatype, shape: value.shape }
    if (value === zipMap?.output)
      return { name: zipMap.tensor, datatype: 'FP32', shape: [-1, zipMap.labels.length || -1] }
    throw refuseModel(
      `its ${side} "${value.name.slice(0, 128)}" is ${value.what}, only tensors are served`,
      'inference.onnx_refused',
      TENSORS_ONLY,
    )
  }
  return {
    digest: digestBytes(bytes),
    sizeBytes: bytes.length,
    ...view,
    inputs: graph.inputs.filter((value) => !graph.initializers.has(value.name)).map((value) => spec(value, 'input')),
    outputs: graph.outputs
      .filter((value) => value !== zipMap?.output || !zipMap.isTensorGiven)
      .map((value) => spec(value, 'output')),
    nodes: tally.nodes,
    initializers: tally.initializers,
    initializerBytes: tally.initializerBytes,
    depth: tally.depth,
    operators: Object.fromEntries([...tally.operators].sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(zipMap ? { zipMap: { output: zipMap.output.name, tensor: zipMap.tensor, labels: zipMap.labels } } : {}),
  }
}
