# Evaluation, the training profile, and the tree model's file; paths from runner/.
set(NIGHTSHIFT_METRICS_SOURCES
  calibration.c
  exact.c
  json.c
  metrics.c
  metrics_gather.c
  metrics_json.c
  models/gbdt_check.c
  models/gbdt_file.c
  models/gbdt_importance.c
  models/gbdt_model.c
  profile.c
  risk_table.c
  subgroups.c)
