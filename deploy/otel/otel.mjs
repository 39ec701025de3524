// Switches traces on: node --import ./otel.mjs packages/cli/dist/main.js serve ...
//
//   npm install @opentelemetry/sdk-trace-node @opentelemetry/sdk-trace-base @opentelemetry/exporter-trace-otlp-http
//
// Where they go and how many: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and
// OTEL_TRACES_SAMPLER_ARG, as the specification of OpenTelemetry has them.
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const provider = new NodeTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();

// The gateway drains on SIGTERM and then ends the process by itself: what is left is sent before.
process.once('beforeExit', () => {
  provider.shutdown().catch(() => {});
});
