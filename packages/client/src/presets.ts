/** Addresses of the services that speak this API. Checked against their documents; settings, not promises. */

export interface EthgasPreset {
  /** `baseUrl` of a wallet session. */
  readonly baseUrl: string;
  readonly webSocketUrl: string;
  readonly chainId: number;
  /** Where collateral is deposited on that chain, with its EIP-55 checksum. */
  readonly collateralContract: `0x${string}`;
}

export interface CoinbasePreset {
  readonly baseUrl: string;
  readonly webSocketUrl: string;
  /** The endpoint for the private channels. */
  readonly userWebSocketUrl: string;
  /** `timeUrl` of an API key. */
  readonly timeUrl: string;
}

export interface ChainworksPreset {
  readonly url: string;
  /** Socket.IO's path and transport. */
  readonly path: string;
  readonly transports: readonly ['websocket'];
}

export const presets = {
  ethgas: {
    mainnet: {
      baseUrl: 'https://mainnet.app.ethgas.com/api',
      webSocketUrl: 'wss://mainnet.app.ethgas.com/ws',
      chainId: 1,
      collateralContract: '0x3314Fb492a5d205A601f2A0521fAFbD039502Fc3',
    },
    hoodi: {
      baseUrl: 'https://hoodi.app.ethgas.com/api',
      webSocketUrl: 'wss://hoodi.app.ethgas.com/ws',
      chainId: 560048,
      collateralContract: '0x104Ef4192a97E0A93aBe8893c8A2d2484DFCBAF1',
    },
  },
  coinbase: {
    advancedTrade: {
      baseUrl: 'https://api.coinbase.com',
      webSocketUrl: 'wss://advanced-trade-ws.coinbase.com',
      userWebSocketUrl: 'wss://advanced-trade-ws-user.coinbase.com',
      timeUrl: 'https://api.coinbase.com/api/v3/brokerage/time',
    },
  },
  chainworks: { url: 'https://api.chainworks.co', path: '/socket.io/', transports: ['websocket'] },
} as const satisfies {
  ethgas: Record<string, EthgasPreset>;
  coinbase: Record<string, CoinbasePreset>;
  chainworks: ChainworksPreset;
};
