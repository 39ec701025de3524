export {
  type Cluster,
  type ClusterNode,
  type ClusterOptions,
  missingForCluster,
  startCluster,
} from './cluster.ts';
export { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
export { createFakeClock, type FakeClock } from './fake-clock.ts';
export { freePort } from './free-port.ts';
export {
  type GatewayProcess,
  type GatewayProcessOptions,
  type Ready,
  startGatewayProcess,
} from './gateway-process.ts';
export { type Answer, createHttpClient, type HttpClient } from './http-client.ts';
export {
  type InternalAnswer,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from './in-process-gateway.ts';
export { type LoggedIn, logIn, postForm } from './login.ts';
export { findPostgres, type PostgresServer, startPostgres } from './postgres.ts';
export { openRawWebSocket, type RawWebSocket } from './raw-websocket.ts';
export {
  findRedis,
  type RedisSentinel,
  type RedisServer,
  type RedisSettings,
  startRedis,
  startRedisSentinel,
} from './redis.ts';
export {
  type BalancedNode,
  startTcpBalancer,
  type TcpBalancer,
} from './tcp-balancer.ts';
export { createLoadWallets, type LoadWallet } from './wallet.ts';
export { frameAt, textFrame } from './websocket-frames.ts';
