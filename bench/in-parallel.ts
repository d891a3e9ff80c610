/** Does `work` for each number below `count`, so many at the same time; resolves with what came of each. */
export async function inParallel<T>(
  atOnce: number,
  count: number,
  work: (index: number) => Promise<T>,
): Promise<T[]> {
  const done: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) done[index] = await work(index)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return done
}
