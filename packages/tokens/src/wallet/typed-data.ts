import { concatBytes, fromBigInt, fromHex } from '../encoding/bytes.ts';
import { TokenError } from '../errors.ts';
import { addressBytes } from './address.ts';
import { keccak256, keccakText } from './keccak.ts';

export interface TypedDataField {
  readonly name: string;
  readonly type: string;
}
export type TypedDataTypes = Readonly<Record<string, readonly TypedDataField[]>>;

/** What `eth_signTypedData_v4` takes (EIP-712). */
export interface TypedData {
  readonly types: TypedDataTypes;
  readonly primaryType: string;
  readonly domain: Readonly<Record<string, unknown>>;
  readonly message: Readonly<Record<string, unknown>>;
}

const fault = (expected: string, name?: string): never => {
  throw new TokenError('typed_data', `Typed data cannot be hashed: ${expected} expected`, {
    expected,
    ...(name === undefined ? {} : { name }),
  });
};

/** Nesting of values; recursive types are legal, so the data has to end somewhere. */
const MAX_DEPTH = 32;
const ARRAY = /^(.+)\[([0-9]*)\]$/;
const ATOM =
  /^(?:(u?int)(8|16|24|32|40|48|56|64|72|80|88|96|104|112|120|128|136|144|152|160|168|176|184|192|200|208|216|224|232|240|248|256)|bytes([1-9]|[12][0-9]|3[0-2])|address|bool|string|bytes)$/;
const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

/** The members a domain may have, in their fixed order (EIP-712 "Definition of domainSeparator"). */
const DOMAIN_FIELDS: readonly TypedDataField[] = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
  { name: 'salt', type: 'bytes32' },
];

function fieldsOf(types: TypedDataTypes, name: string): readonly TypedDataField[] {
  if (!Object.hasOwn(types, name)) return fault('a type that is defined', name);
  if (!IDENTIFIER.test(name) || ATOM.test(name)) return fault('a struct name', name);
  return types[name]!;
}

const baseType = (type: string): string => {
  let base = type;
  for (let match = ARRAY.exec(base); match; match = ARRAY.exec(base)) base = match[1]!;
  return base;
};

/** `Name(type name,…)` of a struct, followed by the structs it refers to in alphabetical order (EIP-712 "encodeType"). */
export function encodeType(types: TypedDataTypes, primaryType: string): string {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const field of fieldsOf(types, name)) {
      const base = baseType(field.type);
      if (!ATOM.test(base)) visit(base);
    }
  };
  visit(primaryType);
  found.delete(primaryType);
  return [primaryType, ...[...found].sort()]
    .map(
      (name) =>
        `${name}(${fieldsOf(types, name)
          .map((field) => `${field.type} ${field.name}`)
          .join(',')})`,
    )
    .join('');
}

function toInteger(value: unknown, name: string): bigint {
  if (typeof value === 'bigint') return value;
  // Past 2^53 a JSON number no longer says which integer was meant.
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^-?(?:[0-9]{1,80}|0x[0-9a-fA-F]{1,64})$/.test(value)) {
    return value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
  }
  return fault('an integer', name);
}

function toBytes(value: unknown, name: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const bytes = typeof value === 'string' && value.startsWith('0x') ? fromHex(value) : undefined;
  return bytes ?? fault('bytes or 0x hex', name);
}

function encodeInteger(kind: string, bits: number, value: unknown, name: string): Uint8Array {
  const integer = toInteger(value, name);
  const [low, high] =
    kind === 'uint' ? [0n, 1n << BigInt(bits)] : [-(1n << BigInt(bits - 1)), 1n << BigInt(bits - 1)];
  if (integer < low || integer >= high) fault(`a value of ${kind}${bits}`, name);
  return fromBigInt(BigInt.asUintN(256, integer), 32);
}

function encodeAtom(type: string, value: unknown, name: string): Uint8Array {
  const [, kind, bits, size] = ATOM.exec(type) ?? [];
  if (kind && bits) return encodeInteger(kind, Number(bits), value, name);
  const word = new Uint8Array(32);
  if (size) {
    const bytes = toBytes(value, name);
    if (bytes.length !== Number(size)) fault(`${size} bytes`, name);
    word.set(bytes);
    return word;
  }
  switch (type) {
    case 'address':
      word.set(addressBytes(value), 12);
      return word;
    case 'bool':
      if (typeof value !== 'boolean') fault('a boolean', name);
      word[31] = value ? 1 : 0;
      return word;
    case 'string':
      return typeof value === 'string' ? keccakText(value) : fault('a string', name);
    default:
      return keccak256(toBytes(value, name));
  }
}

/** `encodeData` of one value: 32 bytes (EIP-712 "Definition of encodeData"). */
function encodeValue(
  types: TypedDataTypes,
  type: string,
  value: unknown,
  name: string,
  depth: number,
): Uint8Array {
  if (depth > MAX_DEPTH) fault(`at most ${MAX_DEPTH} levels`, name);
  const array = ARRAY.exec(type);
  if (array) {
    const [, inner = '', size = ''] = array;
    if (!Array.isArray(value)) return fault('an array', name);
    if (size !== '' && value.length !== Number(size)) fault(`an array of ${size}`, name);
    return keccak256(concatBytes(...value.map((item) => encodeValue(types, inner, item, name, depth + 1))));
  }
  if (ATOM.test(type)) return encodeAtom(type, value, name);
  return hashStruct(types, type, value, depth + 1);
}

/**
 * `hashStruct` (EIP-712). The value must have exactly the members of its type: a missing one would have to be guessed,
 * and one too many would look signed without being so.
 *
 * @throws {TokenError} `typed_data` or `address`
 */
export function hashStruct(types: TypedDataTypes, type: string, value: unknown, depth = 0): Uint8Array {
  const fields = fieldsOf(types, type);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fault('an object', type);
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(members)) {
    if (members[name] !== undefined && !fields.some((field) => field.name === name))
      fault('no other member', name);
  }
  const parts = [keccakText(encodeType(types, type))];
  for (const field of fields) {
    if (!Object.hasOwn(members, field.name)) fault('a value', field.name);
    parts.push(encodeValue(types, field.type, members[field.name], field.name, depth));
  }
  return keccak256(concatBytes(...parts));
}

/** The domain separator. The fields are those of `types.EIP712Domain`, or else those that `domain` has. */
export function hashDomain(data: Pick<TypedData, 'types' | 'domain'>): Uint8Array {
  if (Object.hasOwn(data.types, 'EIP712Domain')) return hashStruct(data.types, 'EIP712Domain', data.domain);
  const domain = Object.fromEntries(
    Object.entries(data.domain).filter(([, value]) => value !== undefined && value !== null),
  );
  const fields = DOMAIN_FIELDS.filter(({ name }) => Object.hasOwn(domain, name));
  return hashStruct({ EIP712Domain: fields }, 'EIP712Domain', domain);
}

/**
 * The 32-byte digest a wallet signs for typed data: `keccak256(0x19 0x01 ‖ domainSeparator ‖ hashStruct(message))`.
 * Integers may be bigints, safe numbers, or decimal or `0x` strings.
 *
 * @throws {TokenError} `typed_data` or `address` when the data does not fit its types
 */
export function hashTypedData(data: TypedData): Uint8Array {
  const prefix = Uint8Array.of(0x19, 0x01);
  // A domain signed as such has no message part.
  if (data.primaryType === 'EIP712Domain') return keccak256(concatBytes(prefix, hashDomain(data)));
  return keccak256(
    concatBytes(prefix, hashDomain(data), hashStruct(data.types, data.primaryType, data.message)),
  );
}
