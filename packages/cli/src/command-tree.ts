/** Every command, by name. Running, help and shell completion all go by this tree. */
import type { AnyCommand } from './command.ts';
import { auditCommand } from './commands/audit.ts';
import { callCommand } from './commands/call.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { doctorCommand } from './commands/doctor.ts';
import { explainCommand } from './commands/explain.ts';
import { keyCommand } from './commands/key.ts';
import { leaseCommand } from './commands/lease.ts';
import { listenCommand } from './commands/listen.ts';
import { loginCommand } from './commands/login.ts';
import { logoutCommand } from './commands/logout.ts';
import { migrateCommand } from './commands/migrate.ts';
import { profileCommand } from './commands/profile.ts';
import { publishCommand } from './commands/publish.ts';
import { relaysCommand } from './commands/relays.ts';
import { serveCommand } from './commands/serve.ts';
import { sessionsCommand } from './commands/sessions.ts';
import { signingKeysCommand } from './commands/signing-keys.ts';
import { tokenCommand } from './commands/token.ts';
import { whoamiCommand } from './commands/whoami.ts';

export const root: AnyCommand = {
  meta: {
    name: 'countersign',
    description: 'Run a Countersign gateway, sign in to one, and listen to its streams',
  },
  subCommands: {
    serve: serveCommand,
    login: loginCommand,
    whoami: whoamiCommand,
    sessions: sessionsCommand,
    logout: logoutCommand,
    listen: listenCommand,
    call: callCommand,
    publish: publishCommand,
    lease: leaseCommand,
    token: tokenCommand,
    key: keyCommand,
    'signing-keys': signingKeysCommand,
    explain: explainCommand,
    relays: relaysCommand,
    doctor: doctorCommand,
    audit: auditCommand,
    migrate: migrateCommand,
    profile: profileCommand,
    config: configCommand,
    completion: completionCommand(() => root),
  },
} as unknown as AnyCommand;
