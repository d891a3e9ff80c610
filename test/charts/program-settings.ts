import { brokerSettings } from '../../broker/settings.ts'
import { operatorSettings } from '../../operator/settings.ts'
import { settings as tokenServiceSettings } from '../../token-service/settings.ts'

/** What each program reads of its environment. */
export const programSettings = {
  operator: operatorSettings,
  broker: brokerSettings,
  'token-service': tokenServiceSettings,
} as const
