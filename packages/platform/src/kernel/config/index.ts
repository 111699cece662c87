export { type Environment, readEnvironment, SETTINGS, type Setting, withoutSecrets } from './environment.ts'
export { type ConfigSources, describeConfig, type LoadedConfig, loadConfig } from './load-config.ts'
export { type Config, isLoopback, settings } from './settings.ts'
