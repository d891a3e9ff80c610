/** What a packet is at fault with, as the reason an MQTT 5 client is told. */
export class PacketFault extends Error {
  readonly kind: 'malformed-packet' | 'protocol-error'

  constructor(kind: 'malformed-packet' | 'protocol-error', message: string) {
    super(message)
    this.kind = kind
  }
}
