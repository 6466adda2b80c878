//! What a model's graph says of itself, compared with what its manifest says of it.

use ort::{
    session::Session,
    value::{TensorElementType, ValueType},
};
use snowgate_core::ids::Id;

use super::model::ModelError;

/// The only input takes 32-bit floats of the shape that is wanted, in which the graph may leave sizes free.
///
/// # Errors
/// What differs.
pub(crate) fn check_input(model: &Id, session: &Session, wanted: &[i64]) -> Result<(), ModelError> {
    let mismatch = |message: String| ModelError::Mismatch { model: model.clone(), message };
    let [input] = session.inputs() else {
        return Err(mismatch(format!("it has {} inputs, one is wanted", session.inputs().len())));
    };
    let name = input.name();
    let shape = float_shape(input.dtype())
        .ok_or_else(|| mismatch(format!("its input {name:?} takes {:?}, 32-bit floats are wanted", input.dtype())))?;
    let fits = shape.len() == wanted.len()
        && shape.iter().zip(wanted).all(|(found, wanted)| *found == -1 || *found == *wanted);
    if fits {
        Ok(())
    } else {
        Err(mismatch(format!("its input {name:?} has shape {shape:?}, the manifest says {wanted:?}")))
    }
}

/// There is an output of this name that gives 32-bit floats. Its shape shows when it is asked.
///
/// # Errors
/// What differs.
pub(crate) fn check_output(model: &Id, session: &Session, name: &str) -> Result<(), ModelError> {
    let mismatch = |message: String| ModelError::Mismatch { model: model.clone(), message };
    let Some(output) = session.outputs().iter().find(|output| output.name() == name) else {
        let names: Vec<&str> = session.outputs().iter().map(|output| output.name()).collect();
        return Err(mismatch(format!("it has no output {name:?}, only {names:?}")));
    };
    match float_shape(output.dtype()) {
        Some(_) => Ok(()),
        None => Err(mismatch(format!("its output {name:?} gives {:?}, 32-bit floats are wanted", output.dtype()))),
    }
}

fn float_shape(value: &ValueType) -> Option<&[i64]> {
    match value {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Some(shape),
        _ => None,
    }
}
