/** A bot with ethers v5, fetch and ws. */
import { ethers } from 'ethers5';
import { run } from './flow.mjs';
import { env } from './steps.mjs';

const wallet = new ethers.Wallet(env.privateKey);

await run(({ domain, types: { EIP712Domain: _domain, ...types }, message }) =>
  wallet._signTypedData(domain, types, message),
);
