import type { Command } from './command.ts'
import { check } from './check/check.ts'
import { explain } from './explain.ts'

export const commands: readonly Command[] = [check, explain]
