//! What agents do to their kernels, and how that can fail.

use super::world::World;
use crate::agent::tests::sim::name;
use crate::agent::{Event, KernelAnswer, KernelOp};

/// How an operation on a kernel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Luck {
    /// Done.
    Done,
    /// Nothing is done.
    Nothing,
    /// The rules stand; what makes addresses answer stays as it was.
    Half,
    /// All is done, and the agent hears that it failed.
    Unheard,
}

impl World {
    /// The operation under way is carried out; the agent hears of it later.
    pub fn operate(&mut self, n: usize, luck: Luck) -> bool {
        if !self.machines[n].is_awake() {
            return false;
        }
        let rivals: Vec<_> = (0..self.machines.len())
            .filter(|m| *m != n && self.machines[*m].answers())
            .flat_map(|m| self.machines[m].kernel.held.clone())
            .collect();
        let machine = &mut self.machines[n];
        let Some(process) = &mut machine.process else {
            return false;
        };
        let Some((op, answer @ None)) = &mut process.op else {
            return false;
        };
        let kernel = &mut machine.kernel;
        kernel.conflicts = rivals;
        kernel.refuse.clone_from(&machine.refuses);
        let failed = || KernelAnswer::Failed("Input/output error".to_owned());
        let is_apply = matches!(op, KernelOp::Apply { .. });
        let op = op.clone();
        let before = (kernel.answering, kernel.repairs_to.clone());
        *answer = Some(match luck {
            Luck::Done => kernel.carry_out(op.clone()),
            Luck::Nothing => failed(),
            Luck::Half => {
                match &op {
                    KernelOp::Apply { .. } => {
                        let _ = kernel.carry_out(op.clone());
                        kernel.answering = before.0;
                        kernel.repairs_to = before.1;
                    }
                    KernelOp::Clear => kernel.answering = false,
                    _ => {}
                }
                failed()
            }
            Luck::Unheard => {
                let _ = kernel.carry_out(op.clone());
                kernel.repairs_to = before.1;
                failed()
            }
        });
        if is_apply && luck == Luck::Half {
            self.sometimes("an apply fails half-way");
        }
        self.note(|| format!("kernel of {n}: {luck:?} {}", name(&op)));
        self.judge_kernel(n, &op);
        true
    }

    /// The agent hears how its operation went.
    pub fn hear(&mut self, n: usize) -> bool {
        if !self.machines[n].is_awake() {
            return false;
        }
        let Some(process) = &mut self.machines[n].process else {
            return false;
        };
        let Some((_, Some(_))) = &process.op else {
            return false;
        };
        let Some((_, Some(answer))) = process.op.take() else {
            return false;
        };
        self.tell(n, Event::Kernel(answer));
        true
    }
}
