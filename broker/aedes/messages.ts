/** A message as aedes passes it round: to be published, on its way, or waiting. */
export interface Message {
  readonly cmd?: 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** Property bytes of MQTT 5, as the publisher sent them: nothing on the way reads or changes them. */
  readonly properties?: Buffer
}

/** A message under way. (brokerId, brokerCounter) names it: aedes gives every message one of them. */
export interface RoutedMessage extends Message {
  readonly brokerId: string
  readonly brokerCounter: number
  /** Who published it, as aedes knows clients. */
  readonly clientId?: string
}
