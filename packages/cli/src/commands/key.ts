import { defineCommand } from 'citty';
import { keyCreateCommand } from './key-create.ts';
import { keyImportCommand } from './key-import.ts';
import {
  keyDeleteCommand,
  keyDisableCommand,
  keyEnableCommand,
  keyListCommand,
  keyRenameCommand,
  keyShowCommand,
} from './key-manage.ts';
import { keyRotateCommand } from './key-rotate.ts';

export const keyCommand = defineCommand({
  meta: { name: 'key', description: 'Manage API keys' },
  subCommands: {
    create: keyCreateCommand,
    import: keyImportCommand,
    list: keyListCommand,
    show: keyShowCommand,
    rename: keyRenameCommand,
    disable: keyDisableCommand,
    enable: keyEnableCommand,
    rotate: keyRotateCommand,
    delete: keyDeleteCommand,
  },
});
