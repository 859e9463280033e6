// The two host globals that the kernel uses beyond ECMAScript: text to UTF-8 and back (WHATWG Encoding Standard).
// Both shells run on Node, which has them; declared here because the kernel is compiled without any host's types.

interface TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}

interface TextDecoder {
  decode(input?: Uint8Array): string;
}

declare var TextEncoder: { new (): TextEncoder };

declare var TextDecoder: {
  new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
};
