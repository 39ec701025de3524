import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { chosenOrigin } from '../session/address.ts';
import { askForChallenge, verifyLogin } from '../session/api.ts';
import { saveSession, sessionPath } from '../session/session-file.ts';
import { checkOffer, findWallet } from '../session/wallet.ts';
import { instant, ioOf, jsonFlag, urlFlag } from './shared.ts';

function chainIdOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const chainId = /^(?:[1-9]\d{0,14}|0x[0-9a-fA-F]{1,12})$/.test(text) ? Number(text) : 0;
  if (chainId === 0) throw new CliError('usage', '--chain-id needs a number such as 1 or 0x88bb0');
  return chainId;
}

export const loginCommand = defineCommand({
  meta: {
    name: 'login',
    description:
      'Log in with a wallet key from --key-file, COUNTERSIGN_WALLET_KEY or a hidden prompt. ' +
      'Signs the login message only if it is exactly that',
  },
  args: {
    'key-file': {
      type: 'string',
      valueHint: 'file',
      description: 'File with the private key, 64 hex digits',
    },
    'chain-id': {
      type: 'string',
      valueHint: 'number',
      description: 'Chain to sign for (default: the one the gateway offers)',
    },
    domain: {
      type: 'string',
      valueHint: 'site',
      default: 'ethgas.com',
      description: 'Site that the message must name',
    },
    name: { type: 'string', valueHint: 'text', description: 'Display name for the user' },
    save: { type: 'boolean', description: 'Keep the session for whoami, listen and logout (mode 0600)' },
    'show-tokens': {
      type: 'boolean',
      description: 'Print the tokens as well. They are worth access: mind your terminal log',
    },
    ...urlFlag,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const chainId = chainIdOf(args['chain-id'] ?? (io.env.COUNTERSIGN_CHAIN_ID || undefined));
    const origin = chosenOrigin(args.url, io.env);
    const { address, sign } = await findWallet(
      io,
      args['key-file'] ?? (io.env.COUNTERSIGN_WALLET_KEY_FILE || undefined),
    );

    const challenge = await askForChallenge(
      origin,
      {
        addr: address,
        ...(chainId === undefined ? {} : { chainId: String(chainId) }),
        ...(args.name === undefined ? {} : { name: args.name }),
      },
      io.stop,
    );
    const nonce = String(challenge?.nonceHash ?? '');
    const signedFor = checkOffer(challenge?.eip712Message, { nonce, chainId, domain: args.domain });
    const signature = sign({ nonce, chainId: signedFor, domain: args.domain });
    const session = await verifyLogin(origin, { addr: address, nonceHash: nonce, signature }, io.stop);

    const path = sessionPath(io.env);
    if (args.save) saveSession(path, session);
    const { userId, accessExpiresAt, sessionExpiresAt, accessToken, refreshToken } = session;
    const tokens = args['show-tokens'] ? { accessToken, refreshToken } : {};
    if (args.json) {
      const saved = args.save ? { saved: path } : {};
      io.out(
        JSON.stringify({
          userId,
          address,
          chainId: signedFor,
          url: origin,
          accessExpiresAt,
          sessionExpiresAt,
          ...saved,
          ...tokens,
        }),
      );
      return;
    }
    io.out(`logged in at ${origin} as user ${userId} with wallet ${address} (chain ${signedFor})`);
    io.out(`access token until ${instant(accessExpiresAt)}`);
    if (sessionExpiresAt !== null) io.out(`session until ${instant(sessionExpiresAt)}`);
    for (const [name, token] of Object.entries(tokens)) io.out(`${name} ${token}`);
    if (args.save) io.out(`session saved in ${path}`);
    else if (!args['show-tokens'])
      io.out('session not kept; give --save to use it with whoami, listen and logout');
  },
});
