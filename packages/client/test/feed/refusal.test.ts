import { ERRORS, type ErrorCode } from '@countersign/protocol';
import { expect, test } from 'vitest';
import { REFUSALS } from '../../src/feed/refusal.ts';
import { CLIENT_ERRORS } from '../../src/index.ts';

test('what comes over a stream is called and judged as in the one table of errors', () => {
  for (const [code, [status, key, own, message]] of Object.entries(REFUSALS)) {
    const row = ERRORS[code as ErrorCode];
    expect({ status, errorMsgKey: key, message }, code).toEqual({
      status: row.status,
      errorMsgKey: row.errorMsgKey,
      message: row.message,
    });
    const remedy = row.remedy === 'sign-in' ? 'user' : row.remedy;
    expect([code, CLIENT_ERRORS[own]]).toEqual([code, remedy]);
  }
});
