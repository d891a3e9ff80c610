import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What a script prints; rejects when it ends with anything but 0. */
export async function shell(
  script: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await run('sh', ['-euc', script], {
    env: {
      PATH: process.env['PATH'],
      SUPABASE_PUBLISHABLE_KEY: 'x',
      FIREBASE_WEB_API_KEY: 'x',
      ...environment,
    },
  })
  return stdout
}
