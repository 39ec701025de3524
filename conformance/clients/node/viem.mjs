/** A bot with viem, fetch and ws. */
import { privateKeyToAccount } from 'viem/accounts';
import { run } from './flow.mjs';
import { env } from './steps.mjs';

const account = privateKeyToAccount(env.privateKey);

await run((typed) => account.signTypedData(typed));
