/** A bot with ethers v6, fetch and ws. */
import { Wallet } from 'ethers';
import { run } from './flow.mjs';
import { env } from './steps.mjs';

const wallet = new Wallet(env.privateKey);

await run(({ domain, types: { EIP712Domain: _domain, ...types }, message }) =>
  wallet.signTypedData(domain, types, message),
);
