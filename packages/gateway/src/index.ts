export { createGateway, type Gateway, type GatewayOptions, type GatewayUrls } from './gateway.ts';
export { type Clock, systemClock } from './operations/clock.ts';
export {
  type Config,
  ConfigError,
  type ConfigInput,
  configSchema,
  parseConfig,
} from './operations/config.ts';
export { createLog, type Logger } from './operations/log.ts';
export {
  type AuditAnchor,
  type AuditFinding,
  type AuditReport,
  createAuditCheck,
} from './store/audit-check.ts';
export { type AuditReader, openAuditLog } from './store/open-audit-log.ts';
export { migratePostgres } from './store/postgres.ts';
export { migrateStore, type SchemaVersions, schemaVersions } from './store/schema-versions.ts';
export { StoreError, type StoreErrorCode } from './store/store-error.ts';
