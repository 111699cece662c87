interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Joins calls that arrive while earlier ones of their group are at work: one piece of work of a group at a time, which takes
 * up to `limit` gathered items; groups do not wait for each other. When a joint piece fails, each of its items is tried
 * alone, so that one cannot fail the others.
 */
export function openBatcher<Item, Result>(options: {
  readonly limit: number
  readonly groupOf: (item: Item) => string
  readonly work: (items: readonly Item[]) => Promise<readonly Result[]>
}): (item: Item) => Promise<Result> {
  /** What gathered for each group that is at work. */
  const queues = new Map<string, Waiting<Item, Result>[]>()

  const settle = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await options.work(batch.map((waiting) => waiting.item))
      for (const [index, waiting] of batch.entries()) waiting.resolve(results[index]!)
    } catch (thrown) {
      if (batch.length === 1) batch[0]!.reject(thrown)
      else for (const waiting of batch) await settle([waiting])
    }
  }

  const drain = async (group: string, queue: Waiting<Item, Result>[]): Promise<void> => {
    while (queue.length > 0) await settle(queue.splice(0, options.limit))
    queues.delete(group)
  }

  return (item) =>
    new Promise<Result>((resolve, reject) => {
      const group = options.groupOf(item)
      const gathered = queues.get(group)
      const waiting = { item, resolve, reject }
      if (gathered) {
        gathered.push(waiting)
        return
      }
      const queue = [waiting]
      queues.set(group, queue)
      void drain(group, queue)
    })
}
