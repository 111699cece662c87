export { type Environment, readEnvironment, SETTINGS, type Setting, withoutSecrets } from './environment.ts'
export { type ConfigSources, type LoadedConfig, loadConfig } from './load-config.ts'
export { type Config, isLoopback, settings } from './settings.ts'
