import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictJson } from '../../src/index.ts';
import { expectRefusal } from '../support/raw-token.ts';

const refused: readonly (readonly [string, string | Uint8Array])[] = [
  ['two members of one name', '{"a":1,"a":2}'],
  ['two members of one name, one spelt with an escape', '{"a":1,"\\u0061":2}'],
  ['two members of one name deep inside', '{"x":[{"a":1,"a":1}]}'],
  ['__proto__', '{"__proto__":{"admin":true}}'],
  ['__proto__ spelt with an escape', '{"\\u005f_proto__":1}'],
  ['a lone high surrogate', '{"a":"\\ud800"}'],
  ['a lone low surrogate', '{"a":"x\\udc00"}'],
  ['surrogates in the wrong order', '{"a":"\\udc00\\ud800"}'],
  ['a byte order mark', '\ufeff{"a":1}'],
  ['a byte order mark in bytes', Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)],
  ['bytes that are not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
  ['an overlong UTF-8 form', Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d)],
  ['an array', '[1]'],
  ['a string', '"a"'],
  ['null', 'null'],
  ['nothing', ''],
  ['two objects', '{}{}'],
  ['text after the object', '{} x'],
  ['a trailing comma', '{"a":1,}'],
  ['a trailing comma in an array', '{"a":[1,]}'],
  ['a comment', '{/**/}'],
  ['single quotes', "{'a':1}"],
  ['a bare name', '{a:1}'],
  ['a leading zero', '{"a":01}'],
  ['a plus sign', '{"a":+1}'],
  ['a bare point', '{"a":.5}'],
  ['NaN', '{"a":NaN}'],
  ['Infinity', '{"a":Infinity}'],
  ['a number that overflows', '{"a":1e400}'],
  ['a raw line feed in a string', '{"a":"\n"}'],
  ['a raw NUL in a string', '{"a":"\u0000"}'],
  ['an unknown escape', '{"a":"\\x41"}'],
  ['a short escape', '{"a":"\\u12"}'],
  ['a form feed as white space', '{\f"a":1}'],
  ['an unfinished string', '{"a":"'],
  ['an unfinished object', '{"a":1'],
  ['1000 levels', `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`],
  ['100 000 open brackets', `{"a":${'['.repeat(100_000)}`],
  ['nine levels', `${'{"a":'.repeat(9)}1${'}'.repeat(9)}`],
];

describe('parseStrictJson', () => {
  it.each(refused)('refuses %s', async (_, text) => {
    await expectRefusal(() => parseStrictJson(text), 'json');
  });

  it('reads eight levels, all escapes, every number form and any white space', () => {
    const text =
      '{ "a" :\t[1,-0.5e+3,{"b":{"c":{"d":{"e":{"f":true}}}}}],\r\n"s":"\\u00e9\\/\\"\\ud83d\\ude00é","n":null,"t":false}';
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
  });

  it('agrees with JSON.parse on every object JSON.stringify can write', () => {
    const value = fc.jsonValue({ maxDepth: 5 });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value), (object) => {
        const text = JSON.stringify(object);
        const names: string[] = [];
        JSON.parse(text, (name, member) => {
          names.push(name);
          return member;
        });
        fc.pre(!names.includes('__proto__'));
        expect(parseStrictJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('never accepts what JSON.parse refuses', () => {
    const char = fc.constantFrom(...'{}[]",:\\ue012+-.tfnrlas \n');
    fc.assert(
      fc.property(fc.array(char, { maxLength: 14 }), (chars) => {
        const text = `{"a":${chars.join('')}}`;
        let ours: unknown;
        try {
          ours = parseStrictJson(text);
        } catch {
          return;
        }
        expect(ours).toEqual(JSON.parse(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('reads bytes that are not UTF-8 one by one only when asked to', async () => {
    const bytes = Uint8Array.from([
      ...Buffer.from('{"nonce":"'),
      0xff,
      0xc3,
      0x28,
      0xe9,
      ...Buffer.from('","u":"\\/"}'),
    ]);
    await expectRefusal(() => parseStrictJson(bytes), 'json');
    expect(parseStrictJson(bytes, { lenientText: true })).toEqual({ nonce: '\u00ff\u00c3(\u00e9', u: '/' });
  });

  it('still reads UTF-8 as UTF-8 when asked to be lenient', () => {
    expect(parseStrictJson(Buffer.from('{"a":"é"}'), { lenientText: true })).toEqual({ a: 'é' });
  });
});
