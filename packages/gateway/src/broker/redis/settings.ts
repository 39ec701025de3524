/** What is set about Redis; `operations/broker-config.ts` says what is valid and what the defaults are. */
export interface RedisSettings {
  readonly url: string | null;
  readonly prefix: string;
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };
  readonly sentinel: {
    readonly name: string | null;
    readonly nodes: readonly string[];
    readonly username: string | null;
    readonly password: string | null;
  };
  readonly cluster: { readonly nodes: readonly string[] };
  readonly commandTimeoutMs: number;
}
