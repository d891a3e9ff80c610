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

/** A message that a client published here, named by this replica. */
export class ClientMessage implements RoutedMessage {
  readonly cmd = 'publish'
  readonly brokerId: string
  readonly brokerCounter: number
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly clientId: string
  readonly properties?: Buffer

  constructor(message: Message, brokerId: string, brokerCounter: number, clientId: string) {
    this.brokerId = brokerId
    this.brokerCounter = brokerCounter
    this.topic = message.topic
    this.payload = message.payload
    this.qos = message.qos
    this.retain = message.retain
    this.clientId = clientId
    if (message.properties !== undefined) this.properties = message.properties
  }
}
