export { type CollectedProject, collectProject } from './content.ts'
export { type EvaluatedProject, evaluateProject } from './evaluate.ts'
