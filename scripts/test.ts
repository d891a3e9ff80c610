/**
 * `npm test`: what the tests need, then vitest, then one line `N passed, N failed`, the last one whatever
 * happened. `npm test -- test/core` runs a part.
 */
import { startVitest, type TestModule } from 'vitest/node'
import { prepareTests } from '../test/prerequisites.ts'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const counts = (await prepareTests())
  ? await runTests(process.argv.slice(2))
  : { passed: 0, failed: 1, skipped: 0 }
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`)
console.log(`${counts.passed} passed, ${counts.failed} failed`)
// Whatever a test has left open must not keep us.
process.exit(counts.failed === 0 ? 0 : 1)

async function runTests(filters: readonly string[]): Promise<Counts> {
  try {
    const vitest = await startVitest([...filters], { run: true, watch: false })
    const counted = countAll(vitest.state.getTestModules(), vitest.state.getUnhandledErrors().length)
    await vitest.close()
    // Such as a filter that matches no file.
    const failedOtherwise = counted.failed === 0 && Boolean(process.exitCode)
    return failedOtherwise ? { ...counted, failed: 1 } : counted
  } catch (error) {
    console.error(error)
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

/** A file that can not be loaded, a hook that fails and an error nobody caught count as one failure each. */
function countAll(modules: readonly TestModule[], unhandledErrors: number): Counts {
  const total: Counts = { passed: 0, failed: unhandledErrors, skipped: 0 }
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') total.passed += 1
      else if (state === 'failed') total.failed += 1
      else total.skipped += 1
    }
    const suites = [module, ...module.children.allSuites()]
    total.failed += suites.filter((suite) => suite.errors().length > 0).length
  }
  return total
}
