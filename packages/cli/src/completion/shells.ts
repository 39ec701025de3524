/** Completion scripts, one for each shell. They hold the whole tree: completing a word starts no program. */
import type { Node } from './tree.ts';

/** Inside single quotes of bash and zsh. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

const words = ({ commands, flags }: Node) => [...commands, ...flags].map(({ word }) => word).join(' ');

/** Flags of all commands that take a value: the word after one of them is not the name of a command. */
const withValue = (nodes: readonly Node[], kind?: 'file' | 'folder') => [
  ...new Set(
    nodes.flatMap(({ flags }) =>
      flags.filter(({ takes }) => (kind ? takes === kind : takes !== 'nothing')).map(({ word }) => word),
    ),
  ),
];

const names = (nodes: readonly Node[]) =>
  nodes.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(' ')));

export function bashScript(nodes: readonly Node[]): string {
  const cases = nodes.map((node) => `    ${quoted(node.path.join(' '))}) words=${quoted(words(node))} ;;`);
  return `# countersign completion for bash: eval "$(countersign completion bash)"
_countersign() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' i skip=''
  case "$previous" in
    ${withValue(nodes, 'file').join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    ${withValue(nodes, 'folder').join('|')}) COMPREPLY=($(compgen -d -- "$current")); return ;;
    ${withValue(nodes)
      .filter((flag) => ![...withValue(nodes, 'file'), ...withValue(nodes, 'folder')].includes(flag))
      .join('|')}) COMPREPLY=(); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case "\${COMP_WORDS[i]}" in
      ${withValue(nodes).join('|')}) skip=1 ;;
      -*) ;;
      *)
        case "\${path:+$path }\${COMP_WORDS[i]}" in
          ${names(nodes).join('|')}) path="\${path:+$path }\${COMP_WORDS[i]}" ;;
        esac ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _countersign countersign`;
}

/** What \`_describe\` reads: word and description with a colon between them. */
const described = (items: readonly { word: string; description: string }[]) =>
  items.map(({ word, description }) => quoted(`${word}:${description.replaceAll(':', '\\:')}`)).join(' ');

export function zshScript(nodes: readonly Node[]): string {
  const cases = nodes.map(
    (node) =>
      `    ${quoted(node.path.join(' '))}) commands=(${described(node.commands)}); flags=(${described(node.flags)}) ;;`,
  );
  return `#compdef countersign
# countersign completion for zsh: countersign completion zsh > "\${fpath[1]}/_countersign"
_countersign() {
  local name='' skip='' i
  local -a commands flags
  case "$words[CURRENT-1]" in
    ${withValue(nodes, 'file').join('|')}) _files; return ;;
    ${withValue(nodes, 'folder').join('|')}) _files -/; return ;;
  esac
  for ((i = 2; i < CURRENT; i++)); do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case "$words[i]" in
      ${withValue(nodes).join('|')}) skip=1 ;;
      -*) ;;
      *)
        case "\${name:+$name }$words[i]" in
          ${names(nodes).join('|')}) name="\${name:+$name }$words[i]" ;;
        esac ;;
    esac
  done
  case "$name" in
${cases.join('\n')}
  esac
  (( $#commands )) && _describe 'command' commands
  _describe 'flag' flags
}
if [ "$funcstack[1]" = "_countersign" ]; then _countersign; else compdef _countersign countersign; fi`;
}

/** Inside single quotes of fish. */
const fishQuoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

export function fishScript(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, flags }) => {
    const here = `__countersign_at ${fishQuoted(path.join(' '))}`;
    const start = `complete -c countersign -n ${fishQuoted(here)}`;
    return [
      ...commands.map(({ word, description }) => `${start} -f -a ${word} -d ${fishQuoted(description)}`),
      ...flags.map(({ word, description, takes }) => {
        const value = takes === 'nothing' ? ' -f' : takes === 'text' ? ' -x' : ' -r -F';
        return `${start}${value} -l ${word.slice(2)} -d ${fishQuoted(description)}`;
      }),
    ];
  });
  return `# countersign completion for fish: countersign completion fish | source
function __countersign_at
  set -l words (commandline -opc)
  set -l path
  set -l skip 0
  for word in $words[2..-1]
    if test $skip = 1
      set skip 0
    else if contains -- $word ${withValue(nodes).join(' ')}
      set skip 1
    else if not string match -q -- '-*' $word
      if contains -- (string join ' ' -- $path $word) ${names(nodes).join(' ')}
        set path $path $word
      end
    end
  end
  test (string join ' ' -- $path) = "$argv[1]"
end
complete -c countersign -f
${lines.join('\n')}`;
}
