/** containerd's filter syntax, and the regular expressions in it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseFilters } from '../../../core/engines/filter/filter.js'
import { compilePattern } from '../../../core/engines/filter/pattern.js'
import { fieldsOf } from '../../../core/engines/snapshot-rules.js'
import { VarveError } from '../../../core/errors.js'
import { randomRuns } from '../../support/seed.js'

const SNAPSHOT = fieldsOf({
  name: 'default/1/a key, with "quotes"',
  parent: 'sha256:aa',
  kind: 'active',
  created: 1,
  updated: 2,
  labels: {
    foo: 'bar',
    'a.b': '1',
    'with space': 'x=y',
    empty: '',
    'containerd.io/snapshot.ref': 'sha256:aa',
  },
})
const BASE = fieldsOf({
  name: 'base',
  parent: undefined,
  kind: 'committed',
  created: 1,
  updated: 2,
  labels: {},
})

const FILTERS: readonly (readonly [filters: readonly string[], snapshot: boolean, base: boolean])[] = [
  [[], true, true],
  [[''], true, true],
  [['name==base'], false, true],
  [['name!=base'], true, false],
  [['name=="default/1/a key, with \\"quotes\\""'], true, false],
  [['name=="default/1/a\\x20key\\x2c\\040with \\u0022quotes\\U00000022"'], true, false],
  [['kind==active'], true, false],
  [['kind==active', 'kind==committed'], true, true],
  [['kind==active,kind==committed'], false, false],
  [['parent==sha256:aa'], true, false],
  [['parent==""'], false, true],
  [['parent!=""'], true, false],
  [['parent'], true, true],
  [['labels.foo'], true, false],
  [['labels.foo==bar'], true, false],
  [['labels.foo!=bar'], false, true],
  [['labels.foo==b'], false, false],
  [['labels.empty'], true, false],
  [['labels.empty==""'], true, false],
  [['labels."a.b"==1'], true, false],
  [['labels.a.b==1'], true, false],
  [['labels."with space"=="x=y"'], true, false],
  [['labels."with space"==x=y'], true, false],
  [['labels'], false, false],
  [['labels.toString'], false, false],
  [['labels.__proto__'], false, false],
  [['labels."containerd.io/snapshot.ref"==sha256:aa,parent=="sha256:aa"'], true, false],
  [['unknown'], false, false],
  [['unknown!=x'], true, true],
  [['name~=^b'], false, true],
  [['name~=ase$,kind~="committed|view"'], false, true],
  [['name~=/^default\\/\\d+/'], true, false],
  [['name~=|^default/[[:digit:]]+/a|'], true, false],
  [['name~="^default/\\\\d/"'], true, false],
  [['labels.foo~=a'], true, false],
  [[' name == base , kind == committed '], false, true],
  [['name==/a/b', 'name==base'], false, true],
  [['name=="\\xc3\\xa9"', 'kind==view'], false, false],
]

for (const [filters, snapshot, base] of FILTERS) {
  test(`${JSON.stringify(filters)} selects the right snapshots.`, () => {
    const filter = parseFilters(filters)
    assert.deepEqual([filter(SNAPSHOT), filter(BASE)], [snapshot, base])
  })
}

test('Escaped bytes in a quoted string are UTF-8, as in Go.', () => {
  const filter = parseFilters(['name=="\\xc3\\xa9\\u20ac\\303\\251"'])
  assert.ok(filter(([field]) => (field === 'name' ? 'é€é' : undefined)))
})

const MALFORMED: readonly (readonly [filter: string, words: RegExp])[] = [
  [' ', /at character 2: want the name of a field/],
  ['name=base', /at character 5: no operator =/],
  ['name===base', /no operator ===/],
  ['name<base', /at character 5: want one of ==, !=, ~=/],
  ['name==', /at character 7: want a value/],
  ['name==,kind==view', /at character 7: want a value/],
  ['==base', /at character 1: want the name/],
  ['name==base,', /at character 12: want the name/],
  ['labels.', /at character 8: want the name/],
  ['labels..a', /at character 8: want the name/],
  ['name==a b', /at character 9: want "," and another selector/],
  ['name=="base', /at character 7: this " is not closed/],
  ['name=="ba\nse"', /at character 7: this " is not closed/],
  ['name=="\\q"', /at character 8: the escape \\q is not known/],
  ['name=="\\U00110000"', /is no character/],
  ['name~=/a', /at character 7: this \/ is not closed/],
  ['kind==view,name~= /(/ ', /at character 19: regular expression "\(": at character 1: this group/],
  ['name~=(', /at character 7: regular expression "\(": at character 1: this group is not closed/],
  ['näme==a', /at character 2: want one of/],
]

for (const [filter, words] of MALFORMED) {
  test(`${JSON.stringify(filter)} is refused, with the position.`, () => {
    assert.throws(() => parseFilters(['name==fine', filter]), fails(words))
  })
}

test('A malformed regular expression is reported with its cause.', () => {
  assert.throws(
    () => parseFilters(['name~=[']),
    ({ cause }: Error) => cause instanceof VarveError && cause.message.startsWith('regular expression'),
  )
})

test('The filters of a request are bounded.', () => {
  assert.throws(() => parseFilters([`name==${'a'.repeat(70_000)}`]), fails(/have 70006 characters, at most/))
  const large = Array<string>(20).fill('name~=a{999}')
  assert.throws(() => parseFilters(large), fails(/too large together/))
})

const PATTERNS: readonly (readonly [source: string, fits: readonly string[], not: readonly string[]])[] = [
  ['', ['', 'x'], []],
  ['b', ['abc'], ['', 'acd']],
  ['^a.c$', ['abc', 'a€c', 'a😀c'], ['ac', 'a\nc', 'xabc', 'abcx']],
  ['a|bc|', ['x'], []],
  ['^(a|bc)$', ['a', 'bc'], ['b', 'abc']],
  ['^a*b+c?$', ['b', 'aabbc'], ['a', 'bcc']],
  ['^(?:ab){2,3}$', ['abab', 'ababab'], ['ab', 'abababab']],
  ['^a{2}$', ['aa'], ['a', 'aaa']],
  ['^a{2,}$', ['aa', 'aaaaa'], ['a']],
  ['^a{,2}$', ['a{,2}'], ['aa']],
  ['^a{x$', ['a{x'], []],
  ['^[a-c_]+$', ['abc_'], ['d', '']],
  ['^[^a-c]$', ['d', '\n'], ['a', 'dd']],
  ['^[]a]+$', [']a'], ['b']],
  ['^[a\\]\\-z]+$', ['a]-z'], ['b']],
  ['^[a-]+$', ['a-'], ['b']],
  ['^[[:alpha:]\\d]+$', ['a1'], ['_']],
  ['^[[:^alpha:]]$', ['1'], ['a']],
  ['^\\d\\D\\s\\S\\w\\W$', ['1a x_-'], ['aa x_-']],
  ['\\bfoo\\b', ['a foo b', 'foo'], ['afoo', 'foo_']],
  ['\\Bfoo', ['afoo'], ['foo']],
  ['\\Aa\\z', ['a'], ['a\n', 'ba']],
  ['a$', ['a'], ['a\n']],
  ['(?m)^a$', ['b\na\nc'], ['ab']],
  ['(?s)a.b', ['a\nb'], []],
  ['(?i)äB', ['Äb', 'äB'], ['aB']],
  ['(?i)[^a]', ['b'], ['a', 'A']],
  ['(?i)^[a-c]+$', ['AbC'], ['d']],
  ['a(?i)b(?-i)c', ['aBc'], ['ABc', 'aBC']],
  ['a(?i:b)c', ['aBc'], ['aBC']],
  ['(?P<name>a)(?<other>b)', ['ab'], ['a']],
  ['^\\x41\\x{1F600}\\101$', ['A😀A'], []],
  ['^\\Qa.b\\E.$', ['a.bx'], ['axbx']],
  ['^\\Qab\\E*$', ['a', 'abb'], ['', 'abab']],
  ['^a\\Q\\E{2}$', ['aa'], ['a']],
  ['^(?i)\\Qa*\\E{2}$', ['A**'], ['A*', 'aa']],
  ['^\\Q*|)', ['*|)'], ['']],
  ['^b(?i)+(?)a$', ['bbA'], ['A', 'Ba']],
  ['^a{01}$', ['a{01}'], ['a']],
  ['^\\pL\\p{Lu}\\p{Greek}\\PL$', ['äÄλ1'], ['1Äλ1']],
  ['^\\p{Any}\\p{^Any}?$', ['\n'], ['ab']],
  ['^(a*)*$', ['', 'aaa'], ['b']],
  ['^(a|a)*?b', ['aab', 'b'], ['aac']],
  ['^(|a)+$', ['', 'aa'], ['b']],
  ['(){1000}x', ['x'], ['y']],
  ['^(((((){1000}){1000}){1000}){1000}){1000}$', [''], ['a']],
]

for (const [source, fit, misfit] of PATTERNS) {
  test(`/${source}/ matches as in RE2.`, () => {
    const pattern = compilePattern(source)
    for (const text of fit) assert.ok(pattern.test(text), `matches ${JSON.stringify(text)}`)
    for (const text of misfit) assert.ok(!pattern.test(text), `does not match ${JSON.stringify(text)}`)
  })
}

const BAD_PATTERNS: readonly (readonly [source: string, words: RegExp])[] = [
  ['(a', /at character 1: this group is not closed/],
  ['a)', /at character 2: a \) without its \(/],
  ['[a', /at character 1: this \[ is not closed/],
  ['[]', /this \[ is not closed/],
  ['[b-a]', /at character 2: .*wrong way round/],
  ['[[:nope:]]', /no such class/],
  ['[[:__proto__:]]', /no such class/],
  ['[[:constructor:]]', /no such class/],
  ['[[:^toString:]]', /no such class/],
  ['\\p{constructor}', /no such class/],
  ['\\p{Alphabetic}', /no such class/],
  ['*a', /at character 1: nothing to repeat with \*/],
  ['a|+', /at character 3: nothing to repeat/],
  ['a**', /at character 3: a repetition of a repetition/],
  ['a{2}{3}', /at character 5: a repetition of a repetition/],
  ['\\Q\\E*', /at character 5: nothing to repeat/],
  ['(?i)*', /at character 5: nothing to repeat/],
  ['a{1001}', /at character 2: .*no repetition/],
  ['a{10000000}', /no repetition/],
  ['a{1,10000000}', /no repetition/],
  [`a{1,${'9'.repeat(400)}}`, /no repetition/],
  ['a{3,2}', /no repetition/],
  ['a(?=b)', /at character 3: this kind of group/],
  ['(?<!a)b', /this kind of group/],
  ['(a)\\1', /at character 4: this escape/],
  ['\\p{Nope}', /no such class/],
  ['a\\', /a \\ at the end/],
  ['\\x{110000}', /no such character/],
  ['('.repeat(101), /more than 100 groups/],
  ['(a{1000}){1000}', /is too large: more than 5000 states/],
]

for (const [source, words] of BAD_PATTERNS) {
  test(`/${source.slice(0, 30)}/ is refused.`, () => {
    assert.throws(() => compilePattern(source), fails(words))
  })
}

test('Patterns that take other engines years are fast.', () => {
  const text = 'a'.repeat(4_000)
  for (const source of ['^(a+)+$', '^(a|aa)+$', '^(a*)*b', 'a*a*a*a*a*a*a*a*c', '(x+x+)+y']) {
    assert.equal(compilePattern(source).test(`${text}!`), false)
  }
})

test('Random patterns match what the engine of JavaScript matches.', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '-'), maxLength: 6 })
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom('a', 'b', '', '.', '[ab]', '[^a]', '\\w', '\\b', '\\B', '^', '$'),
      fc.array(tie('pattern'), { maxLength: 3 }).map((parts) => parts.join('')),
      fc.array(tie('pattern'), { minLength: 2, maxLength: 3 }).map((parts) => `(?:${parts.join('|')})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{0}', '{1,2}', '{2,}'))
        .map(([part, how]) => `(?:${part})${how}`),
    ),
  }))
  fc.assert(
    fc.property(pattern, text, (source, each) => {
      assert.equal(compilePattern(source).test(each), new RegExp(source, 'u').test(each))
    }),
    randomRuns(2_000),
  )
})

function fails(words: RegExp) {
  return (error: unknown) =>
    error instanceof VarveError && error.code === 'INVALID_ARGUMENT' && words.test(error.message)
}
