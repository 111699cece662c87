interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Joins calls that arrive while earlier ones are at work: one piece of work at a time, which takes up to `limit` gathered
 * items of one group. When a joint piece fails, each of its items is tried alone, so that one cannot fail the others.
 */
export function openBatcher<Item, Result>(options: {
  readonly limit: number
  readonly groupOf: (item: Item) => string
  readonly work: (items: readonly Item[]) => Promise<readonly Result[]>
}): (item: Item) => Promise<Result> {
  let queue: Waiting<Item, Result>[] = []
  let isWorking = false

  const settle = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await options.work(batch.map((waiting) => waiting.item))
      for (const [index, waiting] of batch.entries()) waiting.resolve(results[index]!)
    } catch (thrown) {
      if (batch.length === 1) batch[0]!.reject(thrown)
      else for (const waiting of batch) await settle([waiting])
    }
  }

  const drain = async (): Promise<void> => {
    isWorking = true
    while (queue[0]) {
      const group = options.groupOf(queue[0].item)
      const batch = queue.filter((waiting) => options.groupOf(waiting.item) === group).slice(0, options.limit)
      const taken = new Set(batch)
      queue = queue.filter((waiting) => !taken.has(waiting))
      await settle(batch)
    }
    isWorking = false
  }

  return (item) =>
    new Promise<Result>((resolve, reject) => {
      queue.push({ item, resolve, reject })
      if (!isWorking) void drain()
    })
}
