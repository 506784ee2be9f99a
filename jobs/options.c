/* The option table: the parser, range checks, --help, the echo and jobs/README.md all come from these rows.
   Keys of one section stand together. A key's row is written as key, kind, default, range, choices, flags,
   unit, help. */
#include <stddef.h>

#include "jobs/job.h"
#include "jobs/value.h"

enum {
    MODEL = NS_OPT_BUNDLE,
    MODEL_LIST = NS_OPT_BUNDLE | NS_OPT_SCALAR_TOO,
    LIST = NS_OPT_SCALAR_TOO,
    SITE = NS_OPT_SITE
};

const ns_option ns_options[] = {
    {"name", NS_OPT_TEXT, NULL, 0, 0, NULL, NS_OPT_BUNDLE | NS_OPT_NAME, "",
     "Name of the job: of its model, and of its run folder where run.out is not given. Verbs that make or "
     "use a run need it."},
    {"data.cohort", NS_OPT_PATHS, NULL, 0, 0, NULL, LIST, "",
     "Cohort files (HDF5) to train on, as paths or patterns with * ? and [ ]; in bytewise order of their "
     "paths they are one table."},
    {"data.layout", NS_OPT_CHOICE, "columns", 0, 0, "columns|matrix", 0, "",
     "How the files are laid out: columns is the cohort format of data/README.md, matrix is plain /x [rows, "
     "columns] and /y [rows]."},
    {"data.id", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column that names each row, such as an encounter number; scores carry it, and a duplicate stops a "
     "training."},
    {"data.group", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column that names the patient of a row; with split.by group all rows of a patient stay in one part. A "
     "row without one is a patient of its own."},
    {"data.time", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column with the time of each row; needed by split.by time, split.until and label.window."},
    {"data.weight", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column with the weight of each row in training and early stopping, finite and not negative; metrics count rows. Unset: every row "
     "weighs 1."},
    {"data.label.column", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column with the outcome to predict; rows without one are left out of training and evaluation, and "
     "counted."},
    {"data.label.positive", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Levels (or numbers) of the label column that count as the outcome; all others are its absence. Unset: "
     "the label column is a number, 1 for the outcome and 0 for its absence. Only with model.objective: binary."},
    {"data.label.classes", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Multiclass: the levels (or numbers) of the label column that are classes, at least three; rows with another are left out as "
     "having no label, and counted. Unset: all that rows of the cohort have. A class needs model.category_min_rows training rows "
     "of evaluate.min_cell patients, since models and metrics name it."},
    {"data.label.window", NS_OPT_SECONDS, NULL, 0, 86400.0 * 36525, NULL, MODEL, "seconds",
     "How long after a row's time its outcome may still happen, such as 30d. A row whose window had not ended when the next "
     "part of a split by time begins, or at split.until, is in no part, and counted: its outcome was not yet known then, or only "
     "where it had come early."},
    {"data.where", NS_OPT_WHERE, NULL, 0, 0, NULL, MODEL, "",
     "Who belongs to the cohort: an expression over columns, see below. Unset: every row."},
    {"data.features.include", NS_OPT_TEXTS, "[\"*\"]", 0, 0, NULL, MODEL_LIST, "",
     "Columns to learn from, by exact name or pattern with * and ?. Columns with a role (id, group, time, "
     "weight, label, split) are features only where their exact name stands here."},
    {"data.features.exclude", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Columns not to learn from, by exact name or pattern with * and ?, taken off what include chose."},
    {"data.infinite", NS_OPT_CHOICE, "error", 0, 0, "error|missing", MODEL, "",
     "What an infinite value of a feature is in training: an error, or a missing value, counted."},
    {"data.split.by", NS_OPT_CHOICE, NULL, 0, 0, "group|row|column|time", MODEL, "",
     "How rows are divided into training, validation and test part: group keeps all rows of a patient in one "
     "part, row draws each row for itself, column takes the parts from split.column, time takes them from dates: "
     "training before split.valid_from, or split.test_from where there is no validation. Unset: group where "
     "data.group is given, else row."},
    {"data.split.train", NS_OPT_NUMBER, "0.7", 0, 1, NULL, MODEL, "",
     "Share of the training part: what trees are grown on. Where any of the three shares is given, those not "
     "given are 0, and the sum must be 1."},
    {"data.split.valid", NS_OPT_NUMBER, "0.1", 0, 1, NULL, MODEL, "",
     "Share of the validation part: what early stopping watches."},
    {"data.split.test", NS_OPT_NUMBER, "0.2", 0, 1, NULL, MODEL, "",
     "Share of the test part: what the metrics of the bundle are computed on, and nothing else sees."},
    {"data.split.column", NS_OPT_TEXT, NULL, 0, 0, NULL, MODEL, "",
     "Column that says the part of each row: train, valid or test; only together with split.by column."},
    {"data.split.valid_from", NS_OPT_TIME, NULL, 0, 0, NULL, MODEL, "",
     "Split by time: the validation part begins here, the training part ends. Unset: no validation part."},
    {"data.split.test_from", NS_OPT_TIME, NULL, 0, 0, NULL, MODEL, "",
     "Split by time: the test part begins here, the one before it ends. Unset: no test part."},
    {"data.split.until", NS_OPT_TIME, NULL, 0, 0, NULL, MODEL, "",
     "Rows of this time and later are in no part, and counted; with any split. Where outcomes become known late: the "
     "time up to which they are, together with data.label.window."},
    {"data.split.returning", NS_OPT_CHOICE, NULL, 0, 0, "drop|keep|error", MODEL, "",
     "Split by time with data.group: rows of patients who are in an earlier part already. drop leaves them out of the "
     "later part, counted; keep leaves them in, as a hospital sees them; error refuses the table. Unset: drop."},
    {"data.split.seed", NS_OPT_INTEGER, NULL, 0, NS_VALUE_MOST, NULL, MODEL, "",
     "Seed of the split alone. Unset: train.seed. Set, the parts stay as they are while train.seed changes."},
    {"data.split.folds", NS_OPT_INTEGER, NULL, 2, 100, NULL, MODEL, "folds",
     "Cross-validation: the rows that are not in the test part are dealt out to so many folds, by train.seed and group, a row without a "
     "group by itself: a fold never parts a group, whatever split.by says. Not with split.by time. Unset: no folds."},
    {"data.split.fold", NS_OPT_INTEGER, NULL, 1, 100, NULL, MODEL, "",
     "Which fold is the validation part; all others are the training part. sweep.folds trains on each in turn."},
    {"model.type", NS_OPT_CHOICE, "gbdt", 0, 0, "gbdt", MODEL, "",
     "Kind of model: gbdt is gradient-boosted decision trees."},
    {"model.objective", NS_OPT_CHOICE, NULL, 0, 0, "binary|multiclass|regression|poisson|quantile", MODEL, "",
     "What is learned: binary the risk that an outcome occurs, multiclass the risk of each of three classes or more, regression a "
     "mean, poisson the mean of a count, quantile the value that a share model.quantile of outcomes does not exceed. "
     "Unset: binary."},
    {"model.quantile", NS_OPT_NUMBER, NULL, 0.001, 0.999, NULL, MODEL, "",
     "The share of outcomes that shall lie at or below the prediction; only with model.objective: quantile. Unset: 0.5, the median."},
    {"model.positive_weight", NS_OPT_NUMBER, NULL, 1e-6, 1e6, NULL, MODEL, "",
     "Binary: times the weight of rows with the outcome, in training and early stopping; metrics count rows. Risks are then those "
     "of a world in which the outcome is so many times as frequent: their order serves, but they are too high (their odds about so "
     "many times) wherever it is above 1, and calibration in metrics.json shows it. Unset: 1."},
    {"model.monotone.rising", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Number columns with which the prediction may only rise, all else equal, such as creatinine. Not with multiclass."},
    {"model.monotone.falling", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Number columns with which the prediction may only fall, all else equal."},
    {"model.rounds", NS_OPT_INTEGER, "500", 1, 100000, NULL, MODEL, "rounds",
     "Boosting rounds, one tree each, with multiclass one for each class; early stopping may keep fewer."},
    {"model.learning_rate", NS_OPT_NUMBER, "0.05", 1e-6, 1, NULL, MODEL, "",
     "How much of each tree's correction is taken; smaller needs more rounds and is often a little better."},
    {"model.max_leaves", NS_OPT_INTEGER, "31", 2, 65536, NULL, MODEL, "leaves",
     "Most leaves of one tree; the leaf with the highest gain is split first."},
    {"model.max_depth", NS_OPT_INTEGER, "0", 0, 1000, NULL, MODEL, "splits",
     "Most splits between root and leaf; 0 is no limit."},
    {"model.l1", NS_OPT_NUMBER, "0", 0, 1e9, NULL, MODEL, "", "L1 penalty on the values of leaves."},
    {"model.l2", NS_OPT_NUMBER, "1", 0, 1e9, NULL, MODEL, "", "L2 penalty on the values of leaves."},
    {"model.min_gain", NS_OPT_NUMBER, "0", 0, 1e12, NULL, MODEL, "", "A split must gain more than this."},
    {"model.min_rows", NS_OPT_INTEGER, "20", 1, 1e9, NULL, MODEL, "rows",
     "Fewest training rows on each side of a split."},
    {"model.min_hessian", NS_OPT_NUMBER, "1e-3", 0, 1e9, NULL, MODEL, "",
     "Least sum of second derivatives on each side of a split."},
    {"model.max_bins", NS_OPT_INTEGER, "255", 2, 255, NULL, MODEL, "bins",
     "Most value bins of a number column, missing not counted; with at most as many distinct values each has "
     "its own."},
    {"model.category_min_rows", NS_OPT_INTEGER, "20", 1, 1e9, NULL, MODEL, "rows",
     "Levels of a category with fewer training rows share one bin with levels never seen, and their names "
     "are not in the model."},
    {"model.category_smoothing", NS_OPT_NUMBER, "200", 0, 1e9, NULL, MODEL, "",
     "Pulls levels with few rows towards the middle when the levels of a category are ordered for a split."},
    {"model.category_l2", NS_OPT_NUMBER, "10", 0, 1e9, NULL, MODEL, "",
     "L2 penalty added to model.l2 in splits on a category."},
    {"model.category_split_rows", NS_OPT_INTEGER, "20", 1, 1e9, NULL, MODEL, "rows",
     "Levels with fewer rows at a node do not choose the split; they follow the child with more rows."},
    {"model.category_max_levels", NS_OPT_INTEGER, "16", 0, 65536, NULL, MODEL, "levels",
     "Most levels on the smaller side of a split on a category; 0 is no limit. A category of thousands of levels would else be "
     "learned by heart in one split."},
    {"model.row_sample", NS_OPT_NUMBER, "1", 0.000001, 1, NULL, MODEL, "",
     "Share of training rows drawn for each tree."},
    {"model.column_sample", NS_OPT_NUMBER, "1", 0.000001, 1, NULL, MODEL, "",
     "Share of features drawn for each tree."},
    {"model.column_sample_node", NS_OPT_NUMBER, "1", 0.000001, 1, NULL, MODEL, "",
     "Share of the tree's features drawn for each node."},
    {"model.gradient_bits", NS_OPT_CHOICE, "auto", 0, 0, "auto|narrow|wide", MODEL, "",
     "Precision of gradients in sums: auto is narrow unless the largest row weight is over 64 times the "
     "smallest, or with regression and poisson few rows have gradients far above the others'."},
    {"train.seed", NS_OPT_INTEGER, "1", 0, NS_VALUE_MOST, NULL, MODEL, "",
     "Seed of the split, of row and column samples and of rounding; the same seed gives the same model."},
    {"train.stop_after", NS_OPT_INTEGER, "0", 0, 100000, NULL, MODEL, "rounds",
     "Stops when the validation part has not improved for this many rounds, and keeps the best round; 0 "
     "trains all rounds."},
    {"train.stop_metric", NS_OPT_CHOICE, "loss", 0, 0, "loss|auroc", MODEL, "",
     "What early stopping watches on the validation part; auroc only with model.objective: binary."},
    {"evaluate.subgroups", NS_OPT_TEXTS, NULL, 0, 0, NULL, MODEL_LIST, "",
     "Category columns whose levels get metrics of their own."},
    {"evaluate.min_cell", NS_OPT_INTEGER, "11", 1, 1000000, NULL, MODEL, "patients",
     "Levels and cells with fewer patients are not shown by name or number in anything that is published."},
    {"evaluate.name", NS_OPT_TEXT, "test", 0, 0, NULL, NS_OPT_NAME, "",
     "Name of the evaluation: its results stand in evaluations/NAME of the run folder."},
    {"evaluate.bundle", NS_OPT_PATH, NULL, 0, 0, NULL, 0, "",
     "Bundle to evaluate; unset: the one in run.out."},
    {"evaluate.cohort", NS_OPT_PATHS, NULL, 0, 0, NULL, LIST, "",
     "Labelled cohort files to evaluate on, as paths or patterns; unset: the test part of data.cohort."},
    {"score.bundle", NS_OPT_PATH, NULL, 0, 0, NULL, 0, "",
     "Bundle to score with; unset: the one in run.out."},
    {"score.cohort", NS_OPT_PATHS, NULL, 0, 0, NULL, LIST, "",
     "Cohort files of the night, as paths or patterns; {as_of} stands for the night's date."},
    {"score.out", NS_OPT_PATH, NULL, 0, 0, NULL, 0, "",
     "Score file to publish; {as_of} stands for the night's date."},
    {"score.where", NS_OPT_WHERE, NULL, 0, 0, NULL, 0, "",
     "Who is scored: replaces data.where at night. Unset: data.where of the bundle."},
    {"score.keep", NS_OPT_TEXTS, NULL, 0, 0, NULL, LIST, "",
     "Columns copied from the cohort into the score file."},
    {"score.csv", NS_OPT_FLAG, "false", 0, 0, NULL, 0, "",
     "Also writes the scores as CSV, beside score.out with .csv for .h5: id, status, risk and the columns of "
     "score.keep."},
    {"score.missing_columns", NS_OPT_CHOICE, "error", 0, 0, "error|as_missing", 0, "",
     "What to do where the night's cohort lacks columns that the model needs: refuse it, naming them, or score with every "
     "value of theirs missing, which is said and stands in the manifest."},
    {"score.max_rejected", NS_OPT_NUMBER, "0.01", 0, 1, NULL, 0, "",
     "Share of rejected rows above which the night is held back rather than published."},
    {"score.expect.files", NS_OPT_INTEGER, NULL, 0, NS_VALUE_MOST, NULL, 0, "files",
     "How many files score.cohort must match; anything else stops the night."},
    {"score.expect.min_rows", NS_OPT_INTEGER, NULL, 0, NS_VALUE_MOST, NULL, 0, "rows",
     "Fewest rows the night's cohort must have."},
    {"score.expect.ready", NS_OPT_PATH, NULL, 0, 0, NULL, 0, "",
     "File that must be there before the night is scored, such as the last one an export writes; {as_of} "
     "stands for the night's date."},
    {"sweep.metric", NS_OPT_CHOICE, NULL, 0, 0,
     "log_loss|auroc|auprc|brier|accuracy|auroc_macro|rmse|mae|r2|deviance|pinball_loss", 0, "",
     "What the best setting is chosen by, of validation rows: for binary log_loss, auroc, auprc, brier; multiclass log_loss, accuracy, "
     "auroc_macro, brier; regression rmse, mae, r2; poisson deviance, mae; quantile pinball_loss, mae. Unset: the first of these."},
    {"sweep.seeds", NS_OPT_INTEGER, NULL, 1, 1000, NULL, 0, "seeds",
     "Trains every setting with so many seeds, counted up from train.seed; the split stays, but for folds, which are dealt anew. "
     "Unset: with train.seed alone."},
    {"sweep.folds", NS_OPT_INTEGER, NULL, 2, 100, NULL, 0, "folds",
     "Trains every setting on each fold of so many (data.split.folds). Unset: no folds, the validation part is data.split's."},
    {"sweep.random.members", NS_OPT_INTEGER, NULL, 1, 9999, NULL, 0, "settings",
     "How many settings to draw from what stands below sweep.random; see below. With sweep.grid as well, every one of them is tried with every "
     "combination of the grid."},
    {"run.out", NS_OPT_PATH, NULL, 0, 0, NULL, 0, "",
     "Run folder: checkpoints, log, bundle and evaluations. Unset: runs/NAME beside the job file."},
    {"run.device", NS_OPT_CHOICE, "auto", 0, 0, "auto|cpu|cuda", SITE, "",
     "Where the arithmetic runs; auto takes a GPU when one is there, and says so. The model is the same."},
    {"run.threads", NS_OPT_INTEGER, "0", 0, 4096, NULL, SITE, "threads",
     "Threads of each rank; 0 divides the cores this program may use by the ranks on the machine. The model "
     "is the same."},
    {"run.checkpoint_every", NS_OPT_SECONDS, "60s", 0, 86400 * 30, NULL, SITE, "seconds",
     "Time between checkpoints; 0 writes one after every round."},
    {"run.share", NS_OPT_CHOICE, "private", 0, 0, "private|group", SITE, "",
     "Who may read what a run leaves: private is the user alone, group leaves it to the folder's group and "
     "access list."},
    {"run.cache", NS_OPT_PATH, NULL, 0, 0, NULL, SITE, "",
     "Folder for the bins of cohorts: a second training of the same files and rows, with another seed or other settings of the "
     "trees, reads them instead of the features. As private as the cohort; to clear it, delete the folder. Unset: none."},
    {"run.memory", NS_OPT_BYTES, "0", 0, NS_VALUE_MOST, NULL, SITE, "bytes",
     "Memory that all ranks on a machine may plan with; 0 is what the machine has."},
    {"run.cost_per_gpu_hour", NS_OPT_NUMBER, NULL, 0, NS_VALUE_MOST, NULL, SITE, "",
     "What an hour of one GPU costs, in any currency; then run.json and night.json tell the cost of a run."},
    {"run.prometheus_dir", NS_OPT_PATH, NULL, 0, 0, NULL, SITE, "",
     "Folder of Prometheus's textfile collector: what each run used is left there for it, replaced whole."},
    {"run.stall_limit", NS_OPT_SECONDS, "30m", 0, 86400 * 30, NULL, SITE, "seconds",
     "When other ranks have waited so long for one that gives no sign of life, the run ends with 76, to be run again; 0 never ends it. "
     "A rank that is far later than in the steps before is named in the log in either case."},
    {"run.time_zone", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "",
     "Time zone, such as Europe/Vienna, in which submit --as-of yesterday and today name a day. Unset: the system's."},
    {"slurm.nodes", NS_OPT_INTEGER, NULL, 1, 100000, NULL, SITE, "nodes",
     "Nodes of a Slurm job. Unset: the fewest whose memory holds the plan that check shows."},
    {"slurm.tasks_per_node", NS_OPT_INTEGER, NULL, 1, 4096, NULL, SITE, "ranks",
     "Ranks on each node. Unset: one for each GPU, or one."},
    {"slurm.cpus_per_task", NS_OPT_INTEGER, NULL, 1, 4096, NULL, SITE, "CPUs",
     "CPUs of each rank. Unset: run.threads, or its share of the CPUs of the partition's smallest node."},
    {"slurm.gpus_per_node", NS_OPT_INTEGER, "0", 0, 1024, NULL, SITE, "GPUs",
     "GPUs of each node; all ranks of a node see all of them, and each takes its own."},
    {"slurm.memory", NS_OPT_BYTES, "0", 0, NS_VALUE_MOST, NULL, SITE, "bytes",
     "Memory of each node that a Slurm job asks for; 0 is what the plan needs."},
    {"slurm.time", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "",
     "Time limit of one life of a Slurm job, as sbatch takes it: 30 (minutes), \"02:00:00\", 1-12:00:00. A run that needs longer saves, "
     "goes back into the queue and continues. Unset: the partition's."},
    {"slurm.partition", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "", "Partition of Slurm jobs. Unset: the cluster's default."},
    {"slurm.account", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "", "Account that Slurm jobs are charged to. Unset: the user's default."},
    {"slurm.qos", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "", "Quality of service of Slurm jobs. Unset: the user's default."},
    {"slurm.setup", NS_OPT_TEXTS, NULL, 0, 0, NULL, NS_OPT_SITE | NS_OPT_SCALAR_TOO, "",
     "Lines of shell that the batch script runs before the program, such as module load openmpi."},
    {"slurm.extra", NS_OPT_TEXTS, NULL, 0, 0, NULL, NS_OPT_SITE | NS_OPT_SCALAR_TOO, "",
     "Further options of sbatch, one an item, such as --constraint=h200 or --mail-type=FAIL."},
    {"slurm.launcher", NS_OPT_TEXT, NULL, 0, 0, NULL, SITE, "",
     "What stands before the program in the batch script. Unset: srun --mpi=pmix --kill-on-bad-exit=1 --gpu-bind=none."},
    {"slurm.max_requeues", NS_OPT_INTEGER, "20", 0, 10000, NULL, SITE, "times",
     "How often a Slurm job that was stopped or lost a rank (exit 75 or 76) goes back into the queue."},
    {"slurm.signal_lead", NS_OPT_SECONDS, NULL, 1, 65535, NULL, SITE, "seconds",
     "How long before its time limit a Slurm job is told to save and stop. Unset: a minute, and twice the longest round and "
     "checkpoint that earlier lives of the run took."},
    {"log.format", NS_OPT_CHOICE, "text", 0, 0, "text|json", SITE, "",
     "How log lines are written: key=value text, or one JSON object a line."},
};
const int32_t ns_n_options = (int32_t)(sizeof ns_options / sizeof *ns_options);
