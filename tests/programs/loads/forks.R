# R's parallel package: workers are forked from a process with data. R -f forks.R --args OUT
out <- commandArgs(trailingOnly = TRUE)[1]
data <- lapply(1:40, function(i) rnorm(50000, i))
task <- function(i) {
  part <- data[[i]]
  sorted <- sort(part)
  text <- paste(head(sorted, 2000), collapse = " ")
  sum(sorted) + nchar(text)
}
done <- 0
for (round in 1:3) {
  found <- parallel::mclapply(1:40, task, mc.cores = 4, mc.preschedule = FALSE)
  data[[round]] <- data[[round]] + 1
  done <- done + length(unlist(found))
}
writeLines(as.character(done), out)
