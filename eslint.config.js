// Lint rules beyond style: the layers of the service, promises and streams. `npm run lint` runs it with types.
import tseslint from 'typescript-eslint'

/** errors, request-context <- store <- { config | metrics } <- { runs | content } <- http <- app <- process <- main: a layer may import what stands left of it. */
const layers = {
  'src/errors.ts': [
    'store',
    'runs',
    'content',
    'http',
    'config',
    'metrics',
    'app',
    'process',
    'main',
    'sample',
  ],
  'src/request-context.ts': [
    'store',
    'runs',
    'content',
    'http',
    'config',
    'metrics',
    'app',
    'process',
    'main',
    'sample',
  ],
  'src/store/**': ['runs', 'content', 'http', 'config', 'metrics', 'app', 'process', 'main', 'sample'],
  'src/metrics/**': ['runs', 'content', 'http', 'config', 'app', 'process', 'main', 'sample'],
  'src/runs/**': ['content', 'http', 'metrics', 'app', 'process', 'main', 'sample'],
  'src/content/**': ['runs', 'http', 'config', 'metrics', 'app', 'process', 'main', 'sample'],
  'src/config/**': ['runs', 'content', 'http', 'metrics', 'app', 'process', 'main', 'sample'],
  'src/http/**': ['app', 'process', 'main', 'sample'],
  'src/sample/**': ['store', 'runs', 'content', 'http', 'config', 'app', 'process', 'main'],
  'src/app.ts': ['process', 'main', 'sample'],
}

/** Packages and built-in modules that belong to one place only. */
const FILE_OWNERS = [
  'src/store/local*.ts',
  'src/store/secret*.ts',
  'src/config/**',
  'src/sample/**',
  'src/process/**',
]
const owners = [
  { name: 'express', allowed: ['src/http/**', 'src/app.ts'] },
  { name: 'ajv/dist/2020.js', allowed: ['src/http/validate.ts'] },
  { name: 'prom-client', allowed: ['src/metrics/**'] },
  { name: 'multer', allowed: ['src/http/form-upload.ts'] },
  { name: 'jose', allowed: ['src/http/**'] },
  { name: 'node:fs', allowed: FILE_OWNERS },
  { name: 'node:fs/promises', allowed: FILE_OWNERS },
  ...['@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner', '@aws-sdk/credential-providers'].map(name => ({
    name,
    allowed: ['src/store/s3*.ts'],
  })),
  ...['@google-cloud/storage', 'google-auth-library'].map(name => ({ name, allowed: ['src/store/gcs*.ts'] })),
  ...['@azure/storage-blob', '@azure/identity'].map(name => ({ name, allowed: ['src/store/azure*.ts'] })),
]

function restrictedImports(files, allowedOwners) {
  const forbidden = layers[files] ?? []
  return {
    files: [files],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: owners
            .filter(owner => !allowedOwners.includes(owner.name))
            .map(({ name }) => ({
              name,
              message: `${name} is not imported here: see the layers in eslint.config.js.`,
            })),
          patterns: forbidden.map(layer => ({
            regex: `^\\.{1,2}/(.*/)?${layer}(\\.ts|/.*)$`,
            message: `A lower layer must not import ${layer}: see the layers in eslint.config.js.`,
          })),
        },
      ],
    },
  }
}

/** The rules of the layer `layer` for those files in it that own packages. */
function ownerIn(layer, files) {
  return { ...restrictedImports(layer, ownersOf(files)), files: [files] }
}

const ownersOf = glob => owners.filter(owner => owner.allowed.includes(glob)).map(owner => owner.name)

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'outputs/', 'src/generated/', 'node_modules/'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['*.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        {
          allowNumber: true,
          allowBoolean: true,
        },
      ],
      // An async generator is a stream by its type, whether or not it waits itself.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.property.name='pipe']",
          message: 'pipe() leaves the source open when the reader goes away: use pipeline() with a signal.',
        },
      ],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/main.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only src/main.ts reads the environment.' },
      ],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
    },
  },
  ...Object.keys(layers).map(files => restrictedImports(files, ownersOf(files))),
  ...['local', 'secret', 's3', 'gcs', 'azure'].map(prefix =>
    ownerIn('src/store/**', `src/store/${prefix}*.ts`),
  ),
  {
    ...restrictedImports('src/http/**', ['express', 'ajv/dist/2020.js']),
    files: ['src/http/validate.ts'],
  },
  {
    ...restrictedImports('src/http/**', ['express', 'multer']),
    files: ['src/http/form-upload.ts'],
  },
  {
    files: ['test/**', 'bench/**'],
    rules: {
      'max-lines': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
)
