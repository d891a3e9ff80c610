// Package kinds names the API modules of other projects whose kinds the chart makes objects of. Their CRDs are made of
// them for the tests, as those projects make them: see test/fixtures/foreign-kinds.ts.
package kinds

import (
	_ "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)
