/** A command: a file, and a line in index.ts. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** Resolves with the exit code. Rejects with a message for people where that is 2. */
  run(
    args: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
    print: (text: string) => void,
  ): Promise<number>
}
