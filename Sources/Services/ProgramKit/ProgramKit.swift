// ProgramKit
