export { type CollectedProject, collectProject } from './content.ts'
export { type EvaluatedProject, evaluateProject, requireProjectFile } from './evaluate.ts'
